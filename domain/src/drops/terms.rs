//! What a drop asks and promises: price tiers, deposit, balance, bounds.

use chrono::{DateTime, Utc};
use sea_orm::{DeriveActiveEnum, entity::prelude::*};

use crate::{catalog::policy::PRICE_MINOR_MAX, platform::Units};

/// The most items of a drop.
pub const ITEMS_MAX: usize = 100;
/// The most tiers of an item.
pub const TIERS_MAX: usize = 10;
/// The most units of an item.
pub const UNITS_MAX: u32 = 1_000_000;
/// A reservation window lasts at most this long (days); 24 to 48 hours is usual.
pub const WINDOW_DAYS_MAX: i64 = 31;
/// A hold lasts at least and at most this long (seconds).
pub const HOLD_SECS: std::ops::RangeInclusive<u32> = 60..=3_600;
/// A hold's usual time to live, in seconds.
pub const HOLD_SECS_DEFAULT: u16 = 600;
/// The longest lead time, in days.
pub const LEAD_TIME_DAYS_MAX: u32 = 730;
/// A drop that closes within so many hours is closing soon.
pub const CLOSING_SOON_HOURS: i64 = 6;

/// A price that holds for the first units and until an instant; the last tier of an item has neither bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// Price of one unit, in minor units of the drop's currency.
    pub price_minor: i64,
    /// Holds for units number 1 to this.
    pub up_to_units: Option<Units>,
    /// Holds before this instant.
    pub until: Option<DateTime<Utc>>,
}

impl Tier {
    /// Whether unit number `index` (from 0), sold at `at`, has this price.
    pub fn holds(&self, index: u32, at: DateTime<Utc>) -> bool {
        self.up_to_units.is_none_or(|bound| index < bound.get()) && self.until.is_none_or(|until| at < until)
    }
}

/// How the stored deposit value is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum DepositKind {
    /// Basis points of the line's goods, tax included.
    #[sea_orm(string_value = "PERCENT")]
    Percent,
    /// Minor units for each unit.
    #[sea_orm(string_value = "FIXED")]
    Fixed,
}

/// What is paid at reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposit {
    /// Basis points (1 to 10,000) of the line's goods, tax included.
    Percent(u32),
    /// Minor units for each unit, at most what the unit costs.
    Fixed(i64),
}

impl Deposit {
    /// The stored form.
    pub fn stored(self) -> (DepositKind, i64) {
        match self {
            Self::Percent(points) => (DepositKind::Percent, i64::from(points)),
            Self::Fixed(minor) => (DepositKind::Fixed, minor),
        }
    }
    /// Reads the stored form; `None` where it is none.
    pub fn from_stored(kind: DepositKind, value: i64) -> Option<Self> {
        match kind {
            DepositKind::Percent => u32::try_from(value).ok().map(Self::Percent),
            DepositKind::Fixed => Some(Self::Fixed(value)),
        }
    }
}

/// How the stored balance date is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum BalanceKind {
    /// On a date.
    #[sea_orm(string_value = "ON_DATE")]
    OnDate,
    /// When the run is made, before it is shipped.
    #[sea_orm(string_value = "BEFORE_SHIPPING")]
    BeforeShipping,
}

/// When the rest is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// On that date in the creator's time zone.
    OnDate(Date),
    /// Before shipping: about when the window closes and the lead time is over.
    BeforeShipping,
}

impl Balance {
    /// The stored form.
    pub fn stored(self) -> (BalanceKind, Option<Date>) {
        match self {
            Self::OnDate(date) => (BalanceKind::OnDate, Some(date)),
            Self::BeforeShipping => (BalanceKind::BeforeShipping, None),
        }
    }
    /// Reads the stored form; `None` where it is none.
    pub fn from_stored(kind: BalanceKind, date: Option<Date>) -> Option<Self> {
        match kind {
            BalanceKind::OnDate => date.map(Self::OnDate),
            BalanceKind::BeforeShipping => Some(Self::BeforeShipping),
        }
    }
}

/// Why tiers are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TiersError {
    /// None, or more than [`TIERS_MAX`].
    #[error("an item has 1 to 10 price tiers")]
    Count,
    /// The last tier is bounded.
    #[error("the last price tier is the base price: it has neither a number of units nor an end")]
    LastBounded,
    /// Another tier is not bounded, so later ones would never hold.
    #[error("every price tier but the last needs a number of units or an end")]
    Unbounded,
    /// Bounds do not grow.
    #[error("the numbers of units of price tiers must grow from tier to tier")]
    NotGrowing,
    /// A price below zero, or too high.
    #[error("a price must be more than zero and at most 1,000,000,000 minor units")]
    Price,
}

/// Checks the tiers of an item.
pub fn check_tiers(tiers: &[Tier]) -> Result<(), TiersError> {
    let Some((last, earlier)) = tiers.split_last() else { return Err(TiersError::Count) };
    if tiers.len() > TIERS_MAX {
        return Err(TiersError::Count);
    }
    if last.up_to_units.is_some() || last.until.is_some() {
        return Err(TiersError::LastBounded);
    }
    if earlier.iter().any(|tier| tier.up_to_units.is_none() && tier.until.is_none()) {
        return Err(TiersError::Unbounded);
    }
    let bounds: Vec<Units> = earlier.iter().filter_map(|tier| tier.up_to_units).collect();
    if !bounds.is_sorted_by(|left, right| left < right) || bounds.first() == Some(&Units::ZERO) {
        return Err(TiersError::NotGrowing);
    }
    if tiers.iter().any(|tier| !(1..=PRICE_MINOR_MAX).contains(&tier.price_minor)) {
        return Err(TiersError::Price);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(price_minor: i64, up_to_units: Option<u16>) -> Tier {
        Tier { price_minor, up_to_units: up_to_units.map(Units::from), until: None }
    }

    #[test]
    fn terms_survive_their_stored_form_and_nothing_else_is_terms() {
        for deposit in [Deposit::Percent(0), Deposit::Percent(9_999_999), Deposit::Fixed(500)] {
            let (kind, value) = deposit.stored();
            assert_eq!(Deposit::from_stored(kind, value), Some(deposit));
        }
        assert_eq!(Deposit::from_stored(DepositKind::Percent, -1), None);
        let date = "2026-12-01".parse().unwrap();
        for balance in [Balance::OnDate(date), Balance::BeforeShipping] {
            let (kind, due_on) = balance.stored();
            assert_eq!(Balance::from_stored(kind, due_on), Some(balance));
        }
        assert_eq!(Balance::from_stored(BalanceKind::OnDate, None), None);
    }

    #[test]
    fn tiers_end_in_a_base_price_and_their_bounds_grow() {
        for (tiers, expected) in [
            (vec![], Err(TiersError::Count)),
            (vec![tier(5, None)], Ok(())),
            (vec![tier(4, Some(10)), tier(5, None)], Ok(())),
            (vec![tier(4, Some(10))], Err(TiersError::LastBounded)),
            (vec![tier(4, None), tier(5, None)], Err(TiersError::Unbounded)),
            (vec![tier(3, Some(10)), tier(4, Some(10)), tier(5, None)], Err(TiersError::NotGrowing)),
            (vec![tier(0, None)], Err(TiersError::Price)),
            (vec![tier(5, None); 11], Err(TiersError::Count)),
        ] {
            assert_eq!(check_tiers(&tiers), expected, "{tiers:?}");
        }
    }
}
