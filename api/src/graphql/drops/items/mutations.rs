//! Mutations that add, change and remove the items of drops.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    drops::{NewItem, add_item, items::ItemRefusal, queries, remove_item, terms::Tier},
    platform,
    platform::{
        access::{CreatorScope, Permission},
        ids::DropItemId,
    },
    reservations::{ItemChange, change_item},
};

use super::{DropItem, ReferredItem};
use crate::graphql::{
    context::ContextExt,
    drops::{Drop, ReferredDrop, mutations::scope_of_drop},
    errors::Internal,
    input::{Form, Parsed, count, id_at, parsed},
    payload::{MutationStop, answer, payload},
    scalars::Decimal,
    user_error::{ErrorCode, user_error},
};

user_error!(DropItemError, DropItemErrorCode, ItemRefusal {
    VariantNotFound: "The creator has no such variant, or the variant is archived.",
    Duplicate: "The variant is in the drop already.",
    TooManyItems: "The drop has {ITEMS} items already.",
    UnitsOutOfRange: "The number of units must be 1 to {ITEM_UNITS}.",
    LimitOutOfRange: "The limit per buyer must be 1 to {ITEM_UNITS}.",
    BelowReserved: "The number of units would fall below the units that are held or paid for.",
    BelowMinimumRun: "The units of all items would fall below the minimum run of the published drop.",
    TierCount: "An item must have 1 to {PRICE_TIERS} price tiers.",
    LastTierBounded: "The last tier has a bound. It must be the base price, which has none.",
    TierUnbounded: "A tier before the last has no bound.",
    TiersNotGrowing: "The bounds in units do not grow from tier to tier.",
    PriceOutOfRange: "A price is zero, negative, or above {PRICE_MINOR} minor units.",
    PriceBelowDeposit: "A price is below the fixed deposit of the published drop.",
    Frozen: "This cannot change after the drop is published.",
    Cancelled: "The drop is cancelled.",
} not_found: NotFound);

payload!(
    DropItemAddPayload,
    DropItemError {
        /// The new item.
        item: DropItem
    }
);
payload!(
    DropItemUpdatePayload,
    DropItemError {
        /// The item after the change.
        item: DropItem
    }
);
payload!(
    DropItemRemovePayload,
    DropItemError {
        /// The drop without the item.
        drop: Drop
    }
);

/// A price tier. Tiers are tried in order, and the first one whose bounds hold gives the price of a unit. The
/// last tier is the base price and has no bound.
#[derive(InputObject)]
pub struct PriceTierInput {
    /// The price of one unit in the creator's currency, such as `"48.00"`.
    pub price: Decimal,
    /// The tier holds for units number 1 to this, counted over all buyers.
    pub up_to_units: Option<i32>,
    /// The tier holds before this instant.
    pub until: Option<DateTime<Utc>>,
}

/// A new item of a draft.
#[derive(InputObject)]
pub struct DropItemAddInput {
    /// The global id of the drop.
    pub drop_id: ID,
    /// The global id of the creator's variant.
    pub variant_id: ID,
    /// The number of units for sale.
    pub units: i32,
    /// How many units one person may reserve, over all of their checkouts.
    pub per_buyer_max: i32,
    /// The price tiers, in the order in which they are tried.
    pub tiers: Vec<PriceTierInput>,
}

/// The changes to an item. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct DropItemUpdateInput {
    /// The global id of the item.
    pub id: ID,
    /// The number of units for sale, at least the number that is held or paid for.
    pub units: Option<i32>,
    /// How many units one person may reserve. Fixed once the drop is published.
    pub per_buyer_max: Option<i32>,
    /// The price tiers, which replace all present ones. Existing reservations keep their price.
    pub tiers: Option<Vec<PriceTierInput>>,
}

/// The item to remove.
#[derive(InputObject)]
pub struct DropItemRemoveInput {
    /// The global id of the item.
    pub id: ID,
}

fn tiers(form: &mut Form, input: &[PriceTierInput], currency: platform::Currency) -> Parsed<Vec<Tier>> {
    // Looks at more tiers than allowed, so that the domain refuses them, but bounds the work.
    const LOOKED_AT: usize = 100;
    form.each_object("tiers", input, LOOKED_AT, |form, tier| {
        parsed!(Tier {
            price_minor: form
                .field("price", platform::Money::parse(&tier.price.0, currency))
                .map(|price| price.minor),
            up_to_units: form.optional("upToUnits", tier.up_to_units.map(count)),
            until: Ok(tier.until),
        })
    })
}

/// Returns the scope in which an item may be changed, the item's id, and the currency of its drop.
async fn scope_of_item<C: ErrorCode>(
    ctx: &Context<'_>,
    id: &ID,
) -> Result<(CreatorScope, DropItemId, platform::Currency), MutationStop<C>> {
    let item = ctx.load(ReferredItem(id_at("id", id)?)).await?;
    let scope = ctx.manage(item.as_ref().map(|item| item.creator_id), Permission::CatalogWrite, "id")?;
    let item = item.ok_or_else(|| MutationStop::not_found("id"))?;
    let drop = ctx.load(ReferredDrop(item.drop_id)).await?.ok_or_else(|| MutationStop::not_found("id"))?;
    Ok((scope, item.id, drop.currency))
}

/// The mutations of the items of drops.
#[derive(Default)]
pub struct DropItemsMutation;

#[Object]
impl DropItemsMutation {
    /// Adds an item to a draft. For the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn drop_item_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new item.")] input: DropItemAddInput,
    ) -> async_graphql::Result<DropItemAddPayload> {
        answer(async {
            let (scope, drop) = scope_of_drop(ctx, &input.drop_id, "dropId").await?;
            let mut form = Form::new();
            let request = parsed!(NewItem {
                variant: form.id("variantId", &input.variant_id),
                units: form.field("units", count(input.units)),
                per_buyer_max: form.field("perBuyerMax", count(input.per_buyer_max)),
                tiers: tiers(&mut form, &input.tiers, drop.currency),
            });
            let item = add_item(ctx.db(), &scope, drop.id, form.finish(request)?).await?;
            Ok(DropItemAddPayload::done(DropItem::new(item, drop.currency)))
        })
        .await
    }

    /// Changes an item. Its units may change at any time; its prices apply to new quotes. For the creator's
    /// members, and for its secret tokens with `CATALOG_WRITE`.
    async fn drop_item_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: DropItemUpdateInput,
    ) -> async_graphql::Result<DropItemUpdatePayload> {
        answer(async {
            let (scope, item, currency) = scope_of_item(ctx, &input.id).await?;
            let mut form = Form::new();
            let change = parsed!(ItemChange {
                units: form.optional("units", input.units.map(count)),
                per_buyer_max: form.optional("perBuyerMax", input.per_buyer_max.map(count)),
                tiers: input.tiers.map(|input| tiers(&mut form, &input, currency)).transpose(),
            });
            let item = change_item(ctx.db(), &scope, item, form.finish(change)?).await?;
            Ok(DropItemUpdatePayload::done(DropItem::new(item, currency)))
        })
        .await
    }

    /// Removes an item from a draft. For the creator's members, and for its secret tokens with
    /// `CATALOG_WRITE`.
    async fn drop_item_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The item to remove.")] input: DropItemRemoveInput,
    ) -> async_graphql::Result<DropItemRemovePayload> {
        answer(async {
            let (scope, item, _) = scope_of_item(ctx, &input.id).await?;
            let drop = remove_item(ctx.db(), &scope, item).await?;
            let drop = queries::referred(ctx.db(), &[drop]).await.internal()?.remove(&drop);
            Ok(DropItemRemovePayload::done(drop.map(Drop)))
        })
        .await
    }
}
