//! The terms of a drop: price tiers, deposit, balance, and bounds.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DeriveActiveEnum, entity::prelude::*};

use crate::{catalog::policy::PRICE_MINOR_MAX, platform::Units};

/// The most items of a drop.
pub const ITEMS_MAX: usize = 100;
/// The most price tiers of an item.
pub const TIERS_MAX: usize = 10;
/// The most units of an item.
pub const UNITS_MAX: u32 = 1_000_000;
/// The longest reservation window, in days; 24 to 48 hours are usual.
pub const WINDOW_DAYS_MAX: i64 = 31;
/// The shortest and the longest duration of a hold, in seconds.
pub const HOLD_SECS: std::ops::RangeInclusive<u32> = 60..=3_600;
/// The default duration of a hold, in seconds.
pub const HOLD_SECS_DEFAULT: u16 = 600;
/// The longest lead time, in days.
pub const LEAD_TIME_DAYS_MAX: u32 = 730;
/// A drop that closes within this many hours is closing soon.
pub const CLOSING_SOON_HOURS: i64 = 6;

/// Returns whether a window from `opens_at` to `closes_at` lasts at most [`WINDOW_DAYS_MAX`].
pub(super) fn is_short_enough(opens_at: DateTime<Utc>, closes_at: DateTime<Utc>) -> bool {
    closes_at.signed_duration_since(opens_at) <= TimeDelta::days(WINDOW_DAYS_MAX)
}

/// A price tier. Its price applies to the first units and until an instant; the last tier of an item has
/// neither bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// The price of one unit, in minor units of the drop's currency.
    pub price_minor: i64,
    /// The price applies to units number 1 to this.
    pub up_to_units: Option<Units>,
    /// The price applies before this instant.
    pub until: Option<DateTime<Utc>>,
}

impl Tier {
    /// Returns whether the tier applies to unit number `index` (from 0) if it is sold at `at`.
    pub fn holds(&self, index: u32, at: DateTime<Utc>) -> bool {
        self.up_to_units.is_none_or(|bound| index < bound.get()) && self.until.is_none_or(|until| at < until)
    }
}

/// The kind of a deposit, which tells how to read the stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum DepositKind {
    /// Basis points of the price of the line's goods, tax included.
    #[sea_orm(string_value = "PERCENT")]
    Percent,
    /// Minor units per unit.
    #[sea_orm(string_value = "FIXED")]
    Fixed,
}

/// The deposit, which is paid at reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deposit {
    /// Basis points (1 to 10,000) of the price of the line's goods, tax included.
    Percent(u32),
    /// Minor units per unit, at most the price of a unit.
    Fixed(i64),
}

impl Deposit {
    /// Returns whether the deposit is more than nothing and at most the whole price: 0.01 to 100 percent, or
    /// a positive amount. A fixed deposit is also compared with the prices of the items.
    pub(super) fn is_valid(self) -> bool {
        match self {
            Self::Percent(points) => (1..=10_000).contains(&points),
            Self::Fixed(minor) => minor > 0,
        }
    }

    /// Returns the stored form.
    pub fn stored(self) -> (DepositKind, i64) {
        match self {
            Self::Percent(points) => (DepositKind::Percent, i64::from(points)),
            Self::Fixed(minor) => (DepositKind::Fixed, minor),
        }
    }
    /// Reads the stored form; `None` if it is invalid.
    pub fn from_stored(kind: DepositKind, value: i64) -> Option<Self> {
        match kind {
            DepositKind::Percent => u32::try_from(value).ok().map(Self::Percent),
            DepositKind::Fixed => Some(Self::Fixed(value)),
        }
    }
}

/// The kind of a balance, which tells how to read the stored date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum BalanceKind {
    /// On a date.
    #[sea_orm(string_value = "ON_DATE")]
    OnDate,
    /// When the run has been made, before it is shipped.
    #[sea_orm(string_value = "BEFORE_SHIPPING")]
    BeforeShipping,
}

/// When the balance is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// On this date in the creator's time zone.
    OnDate(Date),
    /// Before shipping, that is about when the lead time after the end of the window is over.
    BeforeShipping,
}

impl Balance {
    /// Returns whether the balance is due on a day before the window closes.
    pub(super) fn is_before(self, closes_at: DateTime<Utc>) -> bool {
        matches!(self, Self::OnDate(date) if date < closes_at.date_naive())
    }

    /// Returns the stored form.
    pub fn stored(self) -> (BalanceKind, Option<Date>) {
        match self {
            Self::OnDate(date) => (BalanceKind::OnDate, Some(date)),
            Self::BeforeShipping => (BalanceKind::BeforeShipping, None),
        }
    }
    /// Reads the stored form; `None` if it is invalid.
    pub fn from_stored(kind: BalanceKind, date: Option<Date>) -> Option<Self> {
        match kind {
            BalanceKind::OnDate => date.map(Self::OnDate),
            BalanceKind::BeforeShipping => Some(Self::BeforeShipping),
        }
    }
}

/// The reasons to refuse price tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TiersError {
    /// There is no tier, or there are more than [`TIERS_MAX`].
    #[error("an item has 1 to 10 price tiers")]
    Count,
    /// The last tier is bounded.
    #[error("the last price tier is the base price: it has neither a number of units nor an end")]
    LastBounded,
    /// A tier before the last one is not bounded, so later tiers would never apply.
    #[error("every price tier but the last needs a number of units or an end")]
    Unbounded,
    /// The bounds do not grow.
    #[error("the numbers of units of price tiers must grow from tier to tier")]
    NotGrowing,
    /// A price is not positive, or too high.
    #[error("a price must be more than zero and at most 1,000,000,000 minor units")]
    Price,
}

/// Checks the price tiers of an item.
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
    fn terms_survive_storage_and_invalid_stored_terms_are_rejected() {
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
