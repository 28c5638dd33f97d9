//! The parts that the operations on drop items share: refusals, bounds, locking, and the publication of a
//! change.
//!
//! [`add_item`](fn@super::add_item) and [`remove_item`](fn@super::remove_item) are in this directory.
//! Changing an item depends on the claims on it, so [`change_item`](crate::reservations::change_item) is in
//! the reservations module.

use super::{
    drop_row::{self, Model as Drop},
    gate::{self, Gates},
    item_row::{self, Model as DropItem},
    state::DropState,
    terms::{TIERS_MAX, Tier, TiersError, UNITS_MAX, check_tiers},
};
use crate::platform::{
    OpError, Quantity, Refused, Tx, Units,
    access::CreatorScope,
    audit,
    facts::Fact,
    ids::{DropId, DropItemId},
    outbox,
};

/// The reasons to refuse a change of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ItemRefusal {
    /// The creator has no such drop or item.
    #[error("not found")]
    NotFound,
    /// The creator has no such variant, or it is archived.
    #[error("no such variant, or it is archived")]
    VariantNotFound,
    /// The variant is already in the drop.
    #[error("this variant is in the drop already")]
    Duplicate,
    /// The drop has as many items as allowed.
    #[error("a drop has at most 100 items")]
    TooManyItems,
    /// The number of units is out of bounds.
    #[error("units must be 1 to 1,000,000")]
    UnitsOutOfRange,
    /// The limit per person is out of bounds.
    #[error("the limit per person must be 1 to 1,000,000")]
    LimitOutOfRange,
    /// The new number of units is less than the units held and paid for.
    #[error("units cannot fall below what is reserved")]
    BelowReserved,
    /// The new total of units is less than the minimum run.
    #[error("the units of a published drop cannot fall below its minimum run")]
    BelowMinimumRun,
    /// There is no price tier, or there are too many.
    #[error("an item has 1 to 10 price tiers")]
    TierCount,
    /// The last price tier is bounded.
    #[error("the last price tier is the base price: it has neither a number of units nor an end")]
    LastTierBounded,
    /// A price tier before the last one is not bounded.
    #[error("every price tier but the last needs a number of units or an end")]
    TierUnbounded,
    /// The bounds of price tiers do not grow.
    #[error("the numbers of units of price tiers must grow from tier to tier")]
    TiersNotGrowing,
    /// A price is out of bounds.
    #[error("a price must be more than zero and at most 1,000,000,000 minor units")]
    PriceOutOfRange,
    /// A price is below the drop's fixed deposit.
    #[error("a price cannot be below the fixed deposit")]
    PriceBelowDeposit,
    /// The drop was published, and this cannot change afterwards.
    #[error("this cannot change after the drop was published")]
    Frozen,
    /// The drop was cancelled.
    #[error("the drop was cancelled")]
    Cancelled,
}

impl From<TiersError> for ItemRefusal {
    fn from(error: TiersError) -> Self {
        match error {
            TiersError::Count => Self::TierCount,
            TiersError::LastBounded => Self::LastTierBounded,
            TiersError::Unbounded => Self::TierUnbounded,
            TiersError::NotGrowing => Self::TiersNotGrowing,
            TiersError::Price => Self::PriceOutOfRange,
        }
    }
}

/// Takes the gate and the row lock of a drop whose items are to change. `path` names the input field that
/// contains the drop's id.
pub(super) async fn lock(
    tx: &Tx,
    scope: &CreatorScope,
    id: DropId,
    path: &'static str,
) -> Result<(Gates, Drop), OpError<ItemRefusal>> {
    let own = gate::take_own(tx, scope, id).await?;
    let (gates, drop) = own.ok_or_else(|| OpError::refuse_field(ItemRefusal::NotFound, path))?;
    if drop.state == DropState::Cancelled {
        Err(OpError::refuse(ItemRefusal::Cancelled))
    } else {
        Ok((gates, drop))
    }
}

/// Takes the gate and the row lock of an item's drop, then reads the item.
pub(crate) async fn lock_item(
    tx: &Tx,
    scope: &CreatorScope,
    id: DropItemId,
) -> Result<(Gates, Drop, DropItem), OpError<ItemRefusal>> {
    let unknown = || OpError::refuse_field(ItemRefusal::NotFound, "id");
    // An item never moves to another drop, so its drop can be read before the gate is taken.
    let before = item_row::own(tx.conn(), scope, id).await?.ok_or_else(unknown)?;
    let (gates, drop) = lock(tx, scope, before.drop_id, "id").await?;
    let item = item_row::own(tx.conn(), scope, id).await?.ok_or_else(unknown)?;
    Ok((gates, drop, item))
}

/// Updates the lowest price of a drop, publishes that its items changed and records the change in the audit
/// log.
pub(crate) async fn publish_change(
    tx: &Tx,
    drop: &Drop,
    action: &'static str,
    fields: &[&str],
) -> Result<(), OpError<ItemRefusal>> {
    let items: Vec<DropItemId> =
        item_row::of_drops(tx.conn(), &[drop.id]).await?.iter().map(|item| item.id).collect();
    let tiers = item_row::tiers_of(tx.conn(), &items).await?;
    let lowest = tiers.values().flatten().map(|tier| tier.price_minor).min().unwrap_or(0);
    drop_row::set_price_min(tx, drop.id, lowest).await?;
    outbox::publish(tx, drop.version, &Fact::DropChanged { creator: drop.creator_id, drop: drop.id }).await?;
    Ok(audit::record(tx, action, drop.id, fields).await?)
}

/// Converts the number of units in an input.
pub(crate) fn units_of(units: u32) -> Result<Units, OpError<ItemRefusal>> {
    Units::try_from(units).map_err(|_| OpError::refuse_field(ItemRefusal::UnitsOutOfRange, "units"))
}

/// Converts the limit per person in an input.
pub(crate) fn limit_of(per_buyer_max: u32) -> Result<Quantity, OpError<ItemRefusal>> {
    Quantity::try_from(per_buyer_max)
        .map_err(|_| OpError::refuse_field(ItemRefusal::LimitOutOfRange, "perBuyerMax"))
}

/// Checks the bounds in an input, without a look-up.
pub(crate) fn check_bounds(
    units: Option<u32>,
    per_buyer_max: Option<u32>,
    tiers: Option<&[Tier]>,
) -> Vec<Refused<ItemRefusal>> {
    let mut complaints = Vec::new();
    if units.is_some_and(|units| !(1..=UNITS_MAX).contains(&units)) {
        complaints.push(Refused::field(ItemRefusal::UnitsOutOfRange, "units"));
    }
    if per_buyer_max.is_some_and(|limit| !(1..=UNITS_MAX).contains(&limit)) {
        complaints.push(Refused::field(ItemRefusal::LimitOutOfRange, "perBuyerMax"));
    }
    if let Some(Err(error)) =
        tiers.map(|tiers| if tiers.len() > TIERS_MAX { Err(TiersError::Count) } else { check_tiers(tiers) })
    {
        complaints.push(Refused::field(error.into(), "tiers"));
    }
    complaints
}
