//! The weight and the size of one unit's parcel, for shipping.

use std::fmt;

use crate::platform::stored::stored_number;

/// The error for a weight or length out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// The weight is below zero or above [`Grams::MAX`].
    #[error("must be 0 to 100,000 g")]
    Weight,
    /// The length is below zero or above [`Millimetres::MAX`].
    #[error("must be 0 to 5,000 mm")]
    Length,
}

/// The weight of one packed unit, in grams. 0 means that the weight is unknown, or that there is nothing to
/// ship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grams(i32);

impl Grams {
    /// 100 kg. Anything heavier is not a parcel.
    pub const MAX: i32 = 100_000;

    /// Returns the weight in grams.
    pub fn get(self) -> u32 {
        self.0.unsigned_abs()
    }
}

impl From<Grams> for i32 {
    fn from(weight: Grams) -> Self {
        weight.0
    }
}

impl fmt::Display for Grams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<i32> for Grams {
    type Error = ParcelError;
    fn try_from(grams: i32) -> Result<Self, ParcelError> {
        if (0..=Self::MAX).contains(&grams) { Ok(Self(grams)) } else { Err(ParcelError::Weight) }
    }
}

stored_number!(Grams as i32, Int, Integer, "a weight of 0 to 100,000 g");

/// The length of one side of a unit's parcel, in millimetres. 0 means that the length is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Millimetres(i32);

impl Millimetres {
    /// 5 m. Anything longer is not a parcel.
    pub const MAX: i32 = 5_000;

    /// Returns the length in millimetres.
    pub fn get(self) -> u32 {
        self.0.unsigned_abs()
    }
}

impl From<Millimetres> for i32 {
    fn from(length: Millimetres) -> Self {
        length.0
    }
}

impl fmt::Display for Millimetres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<i32> for Millimetres {
    type Error = ParcelError;
    fn try_from(millimetres: i32) -> Result<Self, ParcelError> {
        if (0..=Self::MAX).contains(&millimetres) { Ok(Self(millimetres)) } else { Err(ParcelError::Length) }
    }
}

stored_number!(Millimetres as i32, Int, Integer, "a length of 0 to 5,000 mm");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_sides_are_bounded() {
        for (number, weight, side) in [
            (-1, false, false),
            (0, true, true),
            (5_000, true, true),
            (5_001, true, false),
            (100_000, true, false),
            (100_001, false, false),
        ] {
            assert_eq!(
                (Grams::try_from(number).is_ok(), Millimetres::try_from(number).is_ok()),
                (weight, side),
                "{number}"
            );
        }
    }
}
