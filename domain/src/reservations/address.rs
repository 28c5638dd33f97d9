//! The address of a checkout: text fields of bounded length and a country.

use serde::Serialize;

pub use crate::platform::address_lines::{City, PostalCode, Street};
use crate::platform::{Country, text::TextLine};

/// The name of a recipient.
pub type RecipientName = TextLine<120>;
/// A telephone number.
pub type Phone = TextLine<40>;

/// The delivery address of a checkout, or the person who picks it up. Personal data.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Address {
    /// The name of the recipient.
    pub name: RecipientName,
    /// The street and number.
    pub line1: Street,
    /// A second line of the address.
    pub line2: Option<Street>,
    /// The postal code, in the format of the country.
    pub postal_code: PostalCode,
    /// The city or town.
    pub city: City,
    /// The country.
    pub country: Country,
    /// A telephone number for the courier.
    pub phone: Option<Phone>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({})", self.country.code())
    }
}
