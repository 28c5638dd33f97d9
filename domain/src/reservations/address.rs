//! The address of a checkout: text fields of bounded length and a country.

use serde::Serialize;

use crate::platform::{Country, text::Line};

/// The delivery address of a checkout, or the person who picks it up. Personal data.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The name of the recipient.
    pub name: Line<120>,
    /// The street and number.
    pub line1: Line<160>,
    /// A second line of the address.
    pub line2: Option<Line<160>>,
    /// The postal code, in the format of the country.
    pub postal_code: Line<20>,
    /// The city or town.
    pub city: Line<120>,
    /// The country.
    pub country: Country,
    /// A telephone number for the courier.
    pub phone: Option<Line<40>>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.country.code())
    }
}
