//! To add items to a drop, change them, and take them out.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use super::{
    drop_row::{self, Model as Drop},
    gate,
    item_row::{self, ActiveModel, Model as DropItem},
    state::DropState,
    terms::{ITEMS_MAX, TIERS_MAX, Tier, TiersError, UNITS_MAX, check_tiers},
};
use crate::{
    catalog,
    platform::{
        Db, OpError, Position, Quantity, Refused, Tx, Units,
        access::CreatorScope,
        audit,
        facts::Fact,
        ids::{DropId, DropItemId, VariantId},
        in_tx, outbox,
    },
    reservations::{
        decide::{Decision, Request, decide},
        load::{self, About},
        reserve::stock_changed,
    },
};

/// An item to be added.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// Which variant; not one that is archived.
    pub variant: VariantId,
    /// How many may be sold, 1 to [`UNITS_MAX`].
    pub units: u32,
    /// How many one person may have, from 1.
    pub per_buyer_max: u32,
    /// Prices; the last one is the base price.
    pub tiers: Vec<Tier>,
}

/// What is to be changed; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct ItemChange {
    /// At or above what is held and paid for.
    pub units: Option<u32>,
    /// Frozen by the announcement.
    pub per_buyer_max: Option<u32>,
    /// New quotes only: what was reserved keeps its price.
    pub tiers: Option<Vec<Tier>>,
}

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

/// Adds an item to a draft.
pub async fn add(db: &Db, scope: &CreatorScope, id: DropId, new: NewItem) -> Result<DropItem, OpError<ItemRefusal>> {
    let complaints = bounds(Some(new.units), Some(new.per_buyer_max), Some(&new.tiers));
    OpError::refuse_if_any(complaints)?;
    let (units, per_buyer_max) = (units_of(new.units)?, limit_of(new.per_buyer_max)?);
    in_tx(db, scope, async |tx| {
        let drop = lock(tx, scope, id, "dropId").await?;
        if drop.state == DropState::Published {
            return Err(OpError::refuse(ItemRefusal::Frozen));
        }
        let variants = catalog::variants_for_sale(tx.conn(), &[new.variant]).await?;
        let sellable = variants.get(&new.variant).filter(|row| row.creator_id == scope.creator() && row.archived_at.is_none());
        if sellable.is_none() {
            return Err(OpError::refuse_field(ItemRefusal::VariantNotFound, "variantId"));
        }
        let items = item_row::of_drops(tx.conn(), &[id]).await?;
        if items.iter().any(|item| item.variant_id == new.variant) {
            return Err(OpError::refuse_field(ItemRefusal::Duplicate, "variantId"));
        }
        if items.len() >= ITEMS_MAX {
            return Err(OpError::refuse(ItemRefusal::TooManyItems));
        }
        let row = ActiveModel {
            id: Set(tx.new_id()),
            drop_id: Set(id),
            creator_id: Set(scope.creator()),
            variant_id: Set(new.variant),
            position: Set(items.last().map_or(Ok(Position::FIRST), |item| item.position.next()).map_err(OpError::inconsistent)?),
            units: Set(units),
            per_buyer_max: Set(per_buyer_max),
            confirmed_units: Set(Units::ZERO),
        };
        let item = row.insert(tx.conn()).await?;
        item_row::set_tiers(tx, item.id, &new.tiers).await?;
        changed(tx, &drop, "drop.add_item", &["items"]).await?;
        Ok(item)
    })
    .await
}

/// Changes an item.
pub async fn change(db: &Db, scope: &CreatorScope, id: DropItemId, change: ItemChange) -> Result<DropItem, OpError<ItemRefusal>> {
    OpError::refuse_if_any(bounds(change.units, change.per_buyer_max, change.tiers.as_deref()))?;
    in_tx(db, scope, async |tx| {
        let (drop, mut item) = lock_item(tx, scope, id).await?;
        let now = tx.decision_now().await?;
        let mut fields = Vec::new();
        if let Some(units) = change.units {
            let stock = load::stock(tx.conn(), &[drop.id], About::default(), now).await?;
            match decide(&stock, &[Request::SetUnits { item: id, units }], now).as_slice() {
                [Decision::Done] => {}
                _ => return Err(OpError::refuse_field(ItemRefusal::BelowReserved, "units")),
            }
            let others = stock.items.iter().filter(|(item, _)| **item != id).map(|(_, stock)| i64::from(stock.units));
            let in_all = others.fold(i64::from(units), i64::saturating_add);
            let never_made = drop.minimum_units.is_some_and(|minimum| in_all < i64::from(minimum));
            if drop.state == DropState::Published && never_made {
                return Err(OpError::refuse_field(ItemRefusal::BelowMinimumRun, "units"));
            }
            item.units = units_of(units)?;
            fields.push("units");
        }
        if let Some(limit) = change.per_buyer_max {
            let limit = limit_of(limit)?;
            if drop.state == DropState::Published && limit != item.per_buyer_max {
                return Err(OpError::refuse_field(ItemRefusal::Frozen, "perBuyerMax"));
            }
            item.per_buyer_max = limit;
            fields.push("per_buyer_max");
        }
        if let Some(tiers) = &change.tiers {
            let lowest = tiers.iter().map(|tier| tier.price_minor).min().unwrap_or(0);
            let promised = matches!(drop.deposit()?, super::terms::Deposit::Fixed(minor) if minor > lowest);
            if drop.state == DropState::Published && promised {
                return Err(OpError::refuse_field(ItemRefusal::PriceBelowDeposit, "tiers"));
            }
            item_row::set_tiers(tx, id, tiers).await?;
            fields.push("tiers");
        }
        item_row::save(tx, &item).await?;
        if change.units.is_some() {
            stock_changed(tx, &[drop.id]).await?;
        }
        changed(tx, &drop, "drop.change_item", &fields).await?;
        Ok(item)
    })
    .await
}

/// Takes an item out of a draft.
pub async fn remove(db: &Db, scope: &CreatorScope, id: DropItemId) -> Result<DropId, OpError<ItemRefusal>> {
    in_tx(db, scope, async |tx| {
        let (drop, item) = lock_item(tx, scope, id).await?;
        if drop.state == DropState::Published || drop.first_held_at.is_some() {
            return Err(OpError::refuse(ItemRefusal::Frozen));
        }
        item_row::remove(tx, item.id).await?;
        changed(tx, &drop, "drop.remove_item", &["items"]).await?;
        Ok(drop.id)
    })
    .await
}

async fn lock(tx: &Tx, scope: &CreatorScope, id: DropId, path: &'static str) -> Result<Drop, OpError<ItemRefusal>> {
    let drop = gate::take_own(tx, scope, id).await?;
    let drop = drop.ok_or_else(|| OpError::refuse_field(ItemRefusal::NotFound, path))?;
    if drop.state == DropState::Cancelled { Err(OpError::refuse(ItemRefusal::Cancelled)) } else { Ok(drop) }
}

async fn lock_item(tx: &Tx, scope: &CreatorScope, id: DropItemId) -> Result<(Drop, DropItem), OpError<ItemRefusal>> {
    let unknown = || OpError::refuse_field(ItemRefusal::NotFound, "id");
    // The drop of an item never changes, so it may be read before the gate is taken.
    let before = item_row::own(tx.conn(), scope, id).await?.ok_or_else(unknown)?;
    let drop = lock(tx, scope, before.drop_id, "id").await?;
    let item = item_row::own(tx.conn(), scope, id).await?.ok_or_else(unknown)?;
    Ok((drop, item))
}

async fn changed(tx: &Tx, drop: &Drop, action: &'static str, fields: &[&str]) -> Result<(), OpError<ItemRefusal>> {
    let items: Vec<DropItemId> = item_row::of_drops(tx.conn(), &[drop.id]).await?.iter().map(|item| item.id).collect();
    let tiers = item_row::tiers_of(tx.conn(), &items).await?;
    let lowest = tiers.values().flatten().map(|tier| tier.price_minor).min().unwrap_or(0);
    drop_row::set_price_min(tx, drop.id, lowest).await?;
    outbox::publish(tx, drop.version, &Fact::DropChanged { creator: drop.creator_id, drop: drop.id }).await?;
    Ok(audit::record(tx, action, drop.id, fields).await?)
}

fn units_of(units: u32) -> Result<Units, OpError<ItemRefusal>> {
    Units::try_from(units).map_err(|_| OpError::refuse_field(ItemRefusal::UnitsOutOfRange, "units"))
}

fn limit_of(per_buyer_max: u32) -> Result<Quantity, OpError<ItemRefusal>> {
    Quantity::try_from(per_buyer_max).map_err(|_| OpError::refuse_field(ItemRefusal::LimitOutOfRange, "perBuyerMax"))
}

fn bounds(units: Option<u32>, per_buyer_max: Option<u32>, tiers: Option<&[Tier]>) -> Vec<Refused<ItemRefusal>> {
    let mut complaints = Vec::new();
    if units.is_some_and(|units| !(1..=UNITS_MAX).contains(&units)) {
        complaints.push(Refused::field(ItemRefusal::UnitsOutOfRange, "units"));
    }
    if per_buyer_max.is_some_and(|limit| !(1..=UNITS_MAX).contains(&limit)) {
        complaints.push(Refused::field(ItemRefusal::LimitOutOfRange, "perBuyerMax"));
    }
    if let Some(Err(error)) = tiers.map(|tiers| if tiers.len() > TIERS_MAX { Err(TiersError::Count) } else { check_tiers(tiers) }) {
        complaints.push(Refused::field(error.into(), "tiers"));
    }
    complaints
}
