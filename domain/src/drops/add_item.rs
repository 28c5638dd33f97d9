//! Adds an item to a draft.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use super::{
    item_row::{self, ActiveModel, Model as DropItem},
    items::{ItemRefusal, check_bounds, limit_of, lock, publish_change, units_of},
    state::DropState,
    terms::{ITEMS_MAX, Tier},
};
use crate::{
    catalog,
    platform::{
        Db, OpError, Position, Units,
        access::CreatorScope,
        ids::{DropId, VariantId},
        in_tx,
    },
};

/// A request to add an item.
#[derive(Debug, Clone)]
pub struct NewItem {
    /// The variant; it must not be archived.
    pub variant: VariantId,
    /// The number of units for sale, 1 to [`UNITS_MAX`](super::terms::UNITS_MAX).
    pub units: u32,
    /// The most units that one person may have, at least 1.
    pub per_buyer_max: u32,
    /// The price tiers; the last one is the base price.
    pub tiers: Vec<Tier>,
}

/// Adds an item to a draft.
pub async fn add_item(
    db: &Db,
    scope: &CreatorScope,
    id: DropId,
    new: NewItem,
) -> Result<DropItem, OpError<ItemRefusal>> {
    OpError::refuse_if_any(check_bounds(Some(new.units), Some(new.per_buyer_max), Some(&new.tiers)))?;
    let (units, per_buyer_max) = (units_of(new.units)?, limit_of(new.per_buyer_max)?);
    in_tx(db, scope, async |tx| {
        let (_gates, drop) = lock(tx, scope, id, "dropId").await?;
        if drop.state == DropState::Published {
            return Err(OpError::refuse(ItemRefusal::Frozen));
        }
        let variants = catalog::variants_for_sale(tx.conn(), &[new.variant]).await?;
        let sellable = variants
            .get(&new.variant)
            .filter(|row| row.creator_id == scope.creator() && row.archived_at.is_none());
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
            position: Set(items
                .last()
                .map_or(Ok(Position::FIRST), |item| item.position.next())
                .map_err(OpError::inconsistent)?),
            units: Set(units),
            per_buyer_max: Set(per_buyer_max),
            confirmed_units: Set(Units::ZERO),
        };
        let item = row.insert(tx.conn()).await?;
        item_row::set_tiers(tx, item.id, &new.tiers).await?;
        publish_change(tx, &drop, "drop.add_item", &["items"]).await?;
        Ok(item)
    })
    .await
}
