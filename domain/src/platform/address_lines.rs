//! The lines that postal addresses of all kinds consist of.

use super::text::TextLine;

/// A street and number, or a second line of an address.
pub type Street = TextLine<160>;
/// A postal code, in the format of its country.
pub type PostalCode = TextLine<20>;
/// A city or town.
pub type City = TextLine<120>;
