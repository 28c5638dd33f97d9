//! SKUs: the codes by which a creator distinguishes its variants.

use std::{fmt, ops::RangeInclusive, str::FromStr};

/// A SKU: 1 to 64 characters of `A-Z`, `0-9`, `-`, `.` and `_`. Unique within its creator.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sku(String);

/// The error for a text that is not a SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a SKU: use 1 to 64 characters of A-Z, 0-9, hyphen, point and underscore")]
pub struct MalformedSku;

impl Sku {
    /// The shortest and the longest length, in characters.
    pub const CHARS: RangeInclusive<usize> = 1..=64;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sku {
    type Err = MalformedSku;
    fn from_str(text: &str) -> Result<Self, MalformedSku> {
        let plain = |sign: u8| {
            sign.is_ascii_uppercase() || sign.is_ascii_digit() || matches!(sign, b'-' | b'.' | b'_')
        };
        let fits = Self::CHARS.contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text.to_owned())) } else { Err(MalformedSku) }
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_consist_of_capitals_digits_and_three_punctuation_marks() {
        for (text, fits) in [
            ("A", true),
            ("QUAI-DOT.2_B", true),
            (&"9".repeat(64), true),
            ("", false),
            ("quai", false),
            ("A B", false),
            ("Ä", false),
            (&"9".repeat(65), false),
        ] {
            assert_eq!(text.parse::<Sku>().is_ok(), fits, "{text}");
        }
    }
}
