//! To add, change and take out items of drops.

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
    context::Reach,
    drops::{Drop, ReferredDrop, mutations::scope_of_drop},
    errors::Internal,
    input::{Form, Parsed, count, id_at, parsed},
    payload::{Stop, answer, payload},
    scalars::Decimal,
    user_error::{ErrorCode, user_error},
};

user_error!(DropItemError, DropItemErrorCode, ItemRefusal {
    VariantNotFound: "There is no such variant of the creator, or it is archived.",
    Duplicate: "The variant is in the drop already.",
    TooManyItems: "The drop has 100 items.",
    UnitsOutOfRange: "Units must be 1 to 1,000,000.",
    LimitOutOfRange: "One buyer may have at least one unit.",
    BelowReserved: "Fewer units than are held and paid for.",
    BelowMinimumRun: "Fewer units in all than a published drop needs to be made.",
    TierCount: "An item has 1 to 10 price tiers.",
    LastTierBounded: "The last tier has a bound: it must be the base price.",
    TierUnbounded: "A tier before the last has no bound.",
    TiersNotGrowing: "The numbers of units do not grow from tier to tier.",
    PriceOutOfRange: "A price is zero, negative or too high.",
    PriceBelowDeposit: "A price is below the fixed deposit that was announced.",
    Frozen: "This cannot change once the drop is published.",
    Cancelled: "The drop was cancelled.",
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
        /// The item as it is now.
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

/// A price tier. The last one of an item is the base price: it has neither bound.
#[derive(InputObject)]
pub struct PriceTierInput {
    /// The price of one unit in the creator's currency, such as `"48.00"`.
    pub price: Decimal,
    /// Holds for units number 1 to this.
    pub up_to_units: Option<i32>,
    /// Holds before this instant.
    pub until: Option<DateTime<Utc>>,
}

/// An item to be added to a draft.
#[derive(InputObject)]
pub struct DropItemAddInput {
    /// To which drop.
    pub drop_id: ID,
    /// Which variant of the creator.
    pub variant_id: ID,
    /// How many may be sold.
    pub units: i32,
    /// How many one person may have.
    pub per_buyer_max: i32,
    /// The prices, in the order in which they are tried.
    pub tiers: Vec<PriceTierInput>,
}

/// What is to be changed of an item.
#[derive(InputObject)]
pub struct DropItemUpdateInput {
    /// Which item.
    pub id: ID,
    /// At or above what is held and paid for.
    pub units: Option<i32>,
    /// Frozen by publishing.
    pub per_buyer_max: Option<i32>,
    /// All prices; what was reserved keeps its own.
    pub tiers: Option<Vec<PriceTierInput>>,
}

/// One of a drop's items.
#[derive(InputObject)]
pub struct DropItemRemoveInput {
    /// Which item.
    pub id: ID,
}

fn tiers(form: &mut Form, input: &[PriceTierInput], currency: platform::Currency) -> Parsed<Vec<Tier>> {
    // More than a rule allows, so that the rule refuses; no more work than that.
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

/// An item, the scope in which it may be changed, and the currency of its drop.
async fn scope_of_item<C: ErrorCode>(
    ctx: &Context<'_>,
    id: &ID,
) -> Result<(CreatorScope, DropItemId, platform::Currency), Stop<C>> {
    let item = ctx.load(ReferredItem(id_at("id", id)?)).await?;
    let scope = ctx.manage(item.as_ref().map(|item| item.creator_id), Permission::CatalogWrite, "id")?;
    let item = item.ok_or_else(|| Stop::not_found("id"))?;
    let drop = ctx.load(ReferredDrop(item.drop_id)).await?.ok_or_else(|| Stop::not_found("id"))?;
    Ok((scope, item.id, drop.currency))
}

/// Writes of the items of drops.
#[derive(Default)]
pub struct DropItemsMutation;

#[Object]
impl DropItemsMutation {
    /// Add an item to a draft.
    async fn drop_item_add(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The item.")] input: DropItemAddInput,
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

    /// Change an item: its units at any time, its prices for new quotes.
    async fn drop_item_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: DropItemUpdateInput,
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

    /// Take an item out of a draft.
    async fn drop_item_remove(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which item.")] input: DropItemRemoveInput,
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
