//! Items of drops, their price tiers and their stock.

use async_graphql::{Context, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    drops as rules,
    drops::{queries, terms::Tier},
    platform,
    platform::ids::{DropId, DropItemId},
    reservations::{
        claims::ItemStockView,
        quote::{price_parts, tier_units_left},
    },
};

use crate::graphql::{
    catalog::{ReferredVariant, Variant},
    context::{ContextExt, global},
    drops::{Drop, ReferredDrop},
    errors::Internal,
    loaders::edge,
    money::Money,
};

edge!(
    /// The items of a drop, in order.
    ItemsOf(DropId) -> Vec<rules::DropItem>, |loaders, ids| queries::items_of(&loaders.db, ids)
);
edge!(
    /// An item that something in the viewer's scope refers to.
    ReferredItem(DropItemId) -> rules::DropItem, |loaders, ids| queries::items_by_ids(&loaders.db, ids)
);
edge!(
    /// The price tiers of an item.
    TiersOf(DropItemId) -> Vec<Tier>, |loaders, ids| queries::tiers_of(&loaders.db, ids)
);
edge!(
    /// The held units of the items of a drop.
    HeldOf(DropId) -> Vec<(DropItemId, ItemStockView)>, |loaders, ids| loaders.live.held(ids)
);

/// A price tier: a price that holds for the first units, or until an instant. The last tier has neither
/// bound.
#[derive(SimpleObject, Debug, Clone)]
pub struct PriceTier {
    /// The price of one unit. It includes tax if the creator's `pricesIncludeTax` is true.
    pub price: Money,
    /// The tier holds for units number 1 to this, counted over all buyers. Null if the tier has no such
    /// bound.
    pub up_to_units: Option<i32>,
    /// The tier holds before this instant. Null if the tier has no such bound.
    pub until: Option<DateTime<Utc>>,
    /// How many more units can be reserved at this price now. The number shrinks when other buyers reserve
    /// units, and grows when their holds lapse.
    pub units_left: Option<i32>,
}

/// The stock of an item at one instant. It is a snapshot: only `checkoutReserve` holds units.
#[derive(SimpleObject, Debug, Clone)]
pub struct ItemStock {
    /// The number of units in this run.
    pub units: i32,
    /// The number of units that are held for buyers who have not paid yet.
    pub held: i32,
    /// The number of units that are paid for.
    pub confirmed: i32,
    /// The number of units that can be reserved now.
    pub free: i32,
    /// When the first of the present holds ends; its units may become free then. Null if nothing is held.
    pub next_hold_ends_at: Option<DateTime<Utc>>,
    /// When the stock was read.
    pub as_of: DateTime<Utc>,
}

impl ItemStock {
    /// Returns the number of units that are held or paid for. Neither number is ever negative.
    fn taken(&self) -> Result<u32, std::num::TryFromIntError> {
        u32::try_from(self.held.saturating_add(self.confirmed))
    }
}

/// An item of a drop.
#[derive(Clone)]
pub struct DropItem {
    pub(crate) item: rules::DropItem,
    pub(crate) currency: platform::Currency,
    /// The stock, if it was read already. Otherwise it is read when the field is resolved.
    pub(crate) stock: Option<ItemStock>,
}

pub(crate) fn stock(
    item: &rules::DropItem,
    held: &[(DropItemId, ItemStockView)],
    as_of: DateTime<Utc>,
) -> ItemStock {
    let view = held.iter().find(|(id, _)| *id == item.id).map(|(_, view)| *view).unwrap_or_default();
    let (units, confirmed, held) =
        (i32::from(item.units), i32::from(item.confirmed_units), i32::from(view.held));
    // The item and the holds are read one after the other, so a unit that was confirmed in between counts
    // twice.
    let free = units.saturating_sub(confirmed).saturating_sub(held).max(0);
    ItemStock { units, held, confirmed, free, next_hold_ends_at: view.next_hold_ends_at, as_of }
}

impl DropItem {
    pub(crate) fn new(item: rules::DropItem, currency: platform::Currency) -> Self {
        Self { item, currency, stock: None }
    }

    async fn tiers_loaded(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Tier>> {
        Ok(ctx.load(TiersOf(self.item.id)).await?.unwrap_or_default())
    }

    async fn stock_now(&self, ctx: &Context<'_>) -> async_graphql::Result<ItemStock> {
        if let Some(stock) = &self.stock {
            return Ok(stock.clone());
        }
        let held = ctx.load(HeldOf(self.item.drop_id)).await?.unwrap_or_default();
        Ok(stock(&self.item, &held, ctx.db().now()))
    }
}

/// An item of a drop: a variant with its units, its limit per buyer, its prices and its stock.
#[Object]
impl DropItem {
    /// The global id. It identifies the item in the lines of a checkout.
    pub(crate) async fn id(&self) -> ID {
        global(self.item.id)
    }
    /// The drop.
    async fn drop(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Drop>> {
        Ok(ctx.load(ReferredDrop(self.item.drop_id)).await?.map(Drop))
    }
    /// The variant for sale.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        Ok(ctx.load(ReferredVariant(self.item.variant_id)).await?.map(Variant))
    }
    /// The number of units in this run.
    async fn units(&self) -> i32 {
        self.item.units.into()
    }
    /// How many units one person may reserve, over all of their checkouts.
    async fn per_buyer_max(&self) -> i32 {
        self.item.per_buyer_max.into()
    }
    /// The price of the next unit. It includes tax if the creator's `pricesIncludeTax` is true. For the full
    /// price with tax and shipping, use `checkoutQuote`.
    async fn price(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Money>> {
        let tiers = self.tiers_loaded(ctx).await?;
        let stock = self.stock_now(ctx).await?;
        let next = price_parts(&tiers, stock.taken().internal()?, 1, stock.as_of);
        Ok(next.first().map(|part| Money::minor(part.price_minor, self.currency)))
    }
    /// The price tiers, in the order in which they are tried.
    async fn tiers(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<PriceTier>> {
        let tiers = self.tiers_loaded(ctx).await?;
        let left = if ctx.look_ahead().field("unitsLeft").exists() {
            let stock = self.stock_now(ctx).await?;
            tier_units_left(&tiers, stock.taken().internal()?, self.item.units.get(), stock.as_of)
        } else {
            Vec::new()
        };
        let tier = |(at, tier): (usize, Tier)| {
            Ok(PriceTier {
                price: Money::minor(tier.price_minor, self.currency),
                up_to_units: tier.up_to_units.map(Into::into),
                until: tier.until,
                units_left: left.get(at).map(|left| i32::try_from(*left)).transpose().internal()?,
            })
        };
        tiers.into_iter().enumerate().map(tier).collect()
    }
    /// The current stock.
    async fn stock(&self, ctx: &Context<'_>) -> async_graphql::Result<ItemStock> {
        self.stock_now(ctx).await
    }
}
