//! Removes an item from a draft.

use super::{
    item_row,
    items::{ItemRefusal, lock_item, publish_change},
    state::DropState,
};
use crate::platform::{
    Db, OpError,
    access::CreatorScope,
    ids::{DropId, DropItemId},
    in_tx,
};

/// Removes an item from a draft that never had a hold. Returns the item's drop.
pub async fn remove_item(
    db: &Db,
    scope: &CreatorScope,
    id: DropItemId,
) -> Result<DropId, OpError<ItemRefusal>> {
    in_tx(db, scope, async |tx| {
        let (_gates, drop, item) = lock_item(tx, scope, id).await?;
        if drop.state == DropState::Published || drop.first_held_at.is_some() {
            return Err(OpError::refuse(ItemRefusal::Frozen));
        }
        item_row::remove(tx, item.id).await?;
        publish_change(tx, &drop, "drop.remove_item", &["items"]).await?;
        Ok(drop.id)
    })
    .await
}
