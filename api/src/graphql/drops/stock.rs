//! The stock of a drop, which is read once for all viewers.

use async_graphql::{Context, Object};
use chrono::{DateTime, Utc};
use domain::{
    drops,
    platform::{Currency, ids::DropId},
};

use super::{
    Drop, ReferredDrop,
    items::{DropItem, stock},
};
use crate::{graphql::context::ContextExt, live::stock::StockRead};

/// The stock of a drop's items at one instant.
#[derive(Clone)]
pub struct DropStock {
    pub(super) id: DropId,
    pub(super) currency: Currency,
    pub(super) read: StockRead,
}

/// The stock of a drop's items at one instant. It is a snapshot: only `checkoutReserve` holds units.
#[Object]
impl DropStock {
    /// The drop.
    async fn drop(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Drop>> {
        Ok(ctx.load(ReferredDrop(self.id)).await?.map(Drop))
    }
    /// Whether no unit of any item can be reserved now, because all are held or paid for.
    async fn sold_out(&self) -> bool {
        let StockRead { view, as_of, .. } = &self.read;
        !view.items.is_empty() && view.items.iter().all(|item| stock(item, &view.held, *as_of).free == 0)
    }
    /// The items, in the creator's order; at most {ITEMS}. Select `id` and `stock`: a client cache that is
    /// keyed by global ids then updates every view that shows one of them.
    async fn items(&self) -> Vec<DropItem> {
        let StockRead { view, as_of, .. } = &self.read;
        let item = |row: &drops::DropItem| DropItem {
            stock: Some(stock(row, &view.held, *as_of)),
            ..DropItem::new(row.clone(), self.currency)
        };
        view.items.iter().map(item).collect()
    }
    /// When the stock was read. A subscription sends nothing while the stock stays the same, so there the
    /// stock holds until the next message.
    async fn as_of(&self) -> DateTime<Utc> {
        self.read.as_of
    }
}
