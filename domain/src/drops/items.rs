//! What the operations on drop items share: their refusals, their bounds, the lock, and what follows from a
//! change.
//!
//! [`add_item`](fn@super::add_item) and [`remove_item`](fn@super::remove_item) stand beside this file.
//! Changing an item depends on what is claimed of it, so [`change_item`](crate::reservations::change_item)
//! stands with the reservations.

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

/// Why items stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ItemRefusal {
    /// No such drop, or item, of this creator.
    #[error("not found")]
    NotFound,
    /// No such variant of this creator, or it is archived.
    #[error("no such variant, or it is archived")]
    VariantNotFound,
    /// The variant is in the drop already.
    #[error("this variant is in the drop already")]
    Duplicate,
    /// As many items as a drop may have.
    #[error("a drop has at most 100 items")]
    TooManyItems,
    /// Units out of bounds.
    #[error("units must be 1 to 1,000,000")]
    UnitsOutOfRange,
    /// A limit of nothing.
    #[error("one buyer may have at least one unit")]
    LimitOutOfRange,
    /// Fewer units than are held and paid for.
    #[error("units cannot fall below what is reserved")]
    BelowReserved,
    /// Fewer units in all than the run needs to be made.
    #[error("the units of a published drop cannot fall below its minimum run")]
    BelowMinimumRun,
    /// None, or too many.
    #[error("an item has 1 to 10 price tiers")]
    TierCount,
    /// The last tier is bounded.
    #[error("the last price tier is the base price: it has neither a number of units nor an end")]
    LastTierBounded,
    /// Another tier is not bounded.
    #[error("every price tier but the last needs a number of units or an end")]
    TierUnbounded,
    /// Bounds do not grow.
    #[error("the numbers of units of price tiers must grow from tier to tier")]
    TiersNotGrowing,
    /// A price out of bounds.
    #[error("a price must be more than zero and at most 1,000,000,000 minor units")]
    PriceOutOfRange,
    /// Below a fixed deposit that was promised.
    #[error("a price cannot be below the fixed deposit")]
    PriceBelowDeposit,
    /// What was announced stays.
    #[error("this cannot change after the drop was published")]
    Frozen,
    /// The drop was called off.
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

/// Takes the gate and the lock of a drop whose items are to change. `path` names the input that the drop
/// comes from.
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

/// Takes the gate and the lock of the drop that an item is of, and reads the item as it is then.
pub(crate) async fn lock_item(
    tx: &Tx,
    scope: &CreatorScope,
    id: DropItemId,
) -> Result<(Gates, Drop, DropItem), OpError<ItemRefusal>> {
    let unknown = || OpError::refuse_field(ItemRefusal::NotFound, "id");
    // The drop of an item never changes, so it may be read before the gate is taken.
    let before = item_row::own(tx.conn(), scope, id).await?.ok_or_else(unknown)?;
    let (gates, drop) = lock(tx, scope, before.drop_id, "id").await?;
    let item = item_row::own(tx.conn(), scope, id).await?.ok_or_else(unknown)?;
    Ok((gates, drop, item))
}

/// Brings the lowest price of a drop up to date, and publishes that its items changed.
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

/// How many units an input says that there are.
pub(crate) fn units_of(units: u32) -> Result<Units, OpError<ItemRefusal>> {
    Units::try_from(units).map_err(|_| OpError::refuse_field(ItemRefusal::UnitsOutOfRange, "units"))
}

/// How many units an input says that one person may have.
pub(crate) fn limit_of(per_buyer_max: u32) -> Result<Quantity, OpError<ItemRefusal>> {
    Quantity::try_from(per_buyer_max)
        .map_err(|_| OpError::refuse_field(ItemRefusal::LimitOutOfRange, "perBuyerMax"))
}

/// Checks what an input says of an item without looking anything up.
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
