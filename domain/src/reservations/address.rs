//! The address of a checkout: bounded lines and a country.

use serde::Serialize;

use crate::platform::{Country, text::Line};

/// Where a checkout goes, or who fetches it. Personal data.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The recipient.
    pub name: Line<120>,
    /// Street and number.
    pub line1: Line<160>,
    /// More of the address.
    pub line2: Option<Line<160>>,
    /// As the country writes it.
    pub postal_code: Line<20>,
    /// Town.
    pub city: Line<120>,
    /// Country.
    pub country: Country,
    /// For the courier.
    pub phone: Option<Line<40>>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.country.code())
    }
}
