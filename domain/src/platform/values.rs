//! Whole numbers with a unit and bounds, as rows store them: [`Units`], [`Quantity`], [`Count`],
//! [`Position`], [`Seconds`], [`Days`], [`BasisPoints`], [`TariffGrams`] and [`BigUnits`].
//!
//! No value is negative. All types but [`BigUnits`] are stored as INTEGER, so their values also fit the `Int`
//! of the API. A stored number out of bounds is not clamped: the read fails with an
//! [`Inconsistency`](super::stored::Inconsistency).

use chrono::{NaiveDate, TimeDelta};

use super::stored::stored_number;

/// The error for a number outside the bounds of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct OutOfBounds(&'static str);

macro_rules! whole_numbers {
    ($($(#[$doc:meta])* $name:ident: $min:literal to $max:expr, $expected:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            #[derive(serde::Serialize, serde::Deserialize)]
            #[serde(into = "i32", try_from = "i32")]
            pub struct $name(i32);

            impl $name {
                /// Returns the number.
                pub const fn get(self) -> u32 {
                    self.0.unsigned_abs()
                }
            }

            impl TryFrom<i32> for $name {
                type Error = OutOfBounds;
                fn try_from(number: i32) -> Result<Self, OutOfBounds> {
                    let fits = (($min)..=($max)).contains(&number);
                    if fits { Ok(Self(number)) } else { Err(OutOfBounds($expected)) }
                }
            }
            whole_numbers!(@wider $name, $expected: u32 i64 u64 usize);

            impl From<$name> for i32 {
                fn from(number: $name) -> Self { number.0 }
            }
            impl From<$name> for u32 {
                fn from(number: $name) -> Self { number.get() }
            }
            impl From<$name> for u64 {
                fn from(number: $name) -> Self { Self::from(number.get()) }
            }
            impl From<$name> for i64 {
                fn from(number: $name) -> Self { Self::from(number.0) }
            }
            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
            }

            stored_number!($name as i32, Int, Integer, $expected);
        )*
    };
    (@wider $name:ident, $expected:literal: $($wide:ty)*) => {
        $(
            impl TryFrom<$wide> for $name {
                type Error = OutOfBounds;
                fn try_from(number: $wide) -> Result<Self, OutOfBounds> {
                    let number = <i32 as TryFrom<$wide>>::try_from(number);
                    let number = number.map_err(|_| OutOfBounds($expected))?;
                    <Self as TryFrom<i32>>::try_from(number)
                }
            }
        )*
    };
}

whole_numbers! {
    /// A number of units of an item: in stock, available or taken.
    #[derive(Default)]
    Units: 0 to i32::MAX, "a number of units from 0";
    /// A requested or reserved number of units; at least one.
    Quantity: 1 to i32::MAX, "a number of units from 1";
    /// A number of rows, products or variants.
    Count: 0 to i32::MAX, "a count from 0";
    /// A position in an ordered list, from 0.
    Position: 0 to i32::MAX, "a position from 0";
    /// A span of time in whole seconds.
    Seconds: 0 to i32::MAX, "a number of seconds from 0";
    /// A number of days.
    Days: 0 to i32::MAX, "a number of days from 0";
    /// A share in basis points: 1,900 is 19 %, 10,000 is 100 %.
    BasisPoints: 0 to 10_000, "a rate of 0 to 10,000 basis points";
    /// The maximum weight of a shipping tariff, in grams.
    TariffGrams: 1 to i32::MAX, "a weight from 1 g";
}

impl Units {
    /// No units.
    pub const ZERO: Self = Self(0);
}

impl Quantity {
    /// One unit.
    pub const ONE: Self = Self(1);
}

impl Count {
    /// A count of zero.
    pub const ZERO: Self = Self(0);

    /// Returns the count plus one, or an error at the upper bound.
    pub fn next(self) -> Result<Self, OutOfBounds> {
        self.0.checked_add(1).map(Self).ok_or(OutOfBounds("a count from 0"))
    }
}

impl Position {
    /// The first position.
    pub const FIRST: Self = Self(0);

    /// Returns the next position, or an error at the upper bound.
    pub fn next(self) -> Result<Self, OutOfBounds> {
        self.0.checked_add(1).map(Self).ok_or(OutOfBounds("a position from 0"))
    }
}

impl Position {
    /// Returns all positions, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=i32::MAX).map(Self)
    }
}

impl Seconds {
    /// Returns the span as a `TimeDelta`, which holds any number of `i32` seconds.
    pub fn span(self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.0))
    }
}

impl Days {
    /// Returns the date this many days after `date`, or `None` beyond the end of the calendar.
    pub fn after(self, date: NaiveDate) -> Option<NaiveDate> {
        date.checked_add_days(chrono::Days::new(u64::from(self)))
    }
}

/// [`Units`] that are stored as BIGINT: sums that the database computes, and the bounds of price tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BigUnits(pub Units);

impl From<BigUnits> for i64 {
    fn from(units: BigUnits) -> Self {
        Self::from(units.0)
    }
}

impl TryFrom<i64> for BigUnits {
    type Error = OutOfBounds;
    fn try_from(units: i64) -> Result<Self, OutOfBounds> {
        Units::try_from(units).map(Self)
    }
}

stored_number!(BigUnits as i64, BigInt, BigInteger, "a number of units from 0");

/// Infallible conversions for the units that begin at 0.
macro_rules! small_numbers {
    ($($name:ident)*) => {
        $(
            impl From<u16> for $name {
                fn from(number: u16) -> Self {
                    Self(i32::from(number))
                }
            }
        )*
    };
}

small_numbers! { Units Count Position Seconds Days }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_within_the_bounds_of_their_unit() {
        for (number, units, quantity, points) in [
            (-1, false, false, false),
            (0, true, false, true),
            (1, true, true, true),
            (10_000, true, true, true),
            (10_001, true, true, false),
        ] {
            let fits = (
                Units::try_from(number).is_ok(),
                Quantity::try_from(number).is_ok(),
                BasisPoints::try_from(number).is_ok(),
            );
            assert_eq!(fits, (units, quantity, points), "{number}");
        }
        assert!(
            Units::try_from(u32::MAX).is_err()
                && Units::try_from(usize::MAX).is_err()
                && Units::try_from(-1_i64).is_err()
        );
        assert_eq!(Units::try_from(i32::MAX).map(Units::get), Ok(2_147_483_647));
        assert!(Count::try_from(i32::MAX).and_then(Count::next).is_err());
    }

    #[test]
    fn a_number_survives_the_database_and_json_as_a_plain_number() {
        let days = Days::from(30_u16);
        assert_eq!(<Days as sea_orm::sea_query::ValueType>::try_from(days.into()).ok(), Some(days));
        assert_eq!(serde_json::to_string(&days).ok().as_deref(), Some("30"));
        assert!(serde_json::from_str::<Days>("-1").is_err());
        assert!(<Quantity as sea_orm::sea_query::ValueType>::try_from(sea_orm::Value::Int(Some(0))).is_err());
    }

    #[test]
    fn a_lead_time_ends_on_a_date() {
        let date: NaiveDate = "2026-11-24".parse().unwrap();
        assert_eq!(Days::from(30_u16).after(date), "2026-12-24".parse().ok());
        assert_eq!(Days::try_from(i32::MAX).unwrap().after(date), None);
        assert_eq!(Seconds::from(90_u16).span(), TimeDelta::seconds(90));
    }
}
