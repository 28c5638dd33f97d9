//! The public profile of a creator.

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use domain::{
    creators::{self as rules, queries},
    platform::ids::CreatorId,
};

use super::pickup_places::{self, PickupPlace};
use crate::graphql::{
    catalog::imports::{self, ProductImport},
    connection::{Connection, ListNode},
    context::{ContextExt, global},
    loaders::edge,
    reservations::tables::{ShippingTariff, TariffsOf},
    scalars::{CurrencyCode, Html},
};

edge!(
    /// A creator.
    CreatorById(CreatorId) -> rules::Creator,
    |loaders, ids| queries::by_ids(&loaders.db, loaders.sight.public_scope(), ids)
);

/// A creator.
#[derive(Clone)]
pub struct Creator(pub(crate) rules::Creator);

impl ListNode for Creator {}

/// A creator: a workshop that sells small runs of its products. These fields are its public profile. For its
/// products and drops, use the queries `products` and `drops` with the creator's id in the filter.
#[Object]
impl Creator {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The current slug, unique in the marketplace. If you looked the creator up by an older slug, redirect
    /// to this one.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
    /// The name.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// The tagline: what the creator does, in one line; may be empty.
    async fn tagline(&self) -> &str {
        &self.0.tagline
    }
    /// The town or region in which the creator works; may be empty.
    async fn place(&self) -> &str {
        &self.0.place
    }
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`.
    async fn country(&self) -> &str {
        self.0.country.code()
    }
    /// The time zone as a name of the IANA database, such as `Europe/Lisbon`. Due dates of balances are dates
    /// in this time zone.
    async fn time_zone(&self) -> &str {
        self.0.time_zone.name()
    }
    /// The currency of all prices of the creator.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// Whether the creator's prices include tax.
    async fn prices_include_tax(&self) -> bool {
        self.0.prices_include_tax
    }
    /// The creator's story in Markdown, as it was written; may be empty.
    async fn story_markdown(&self) -> &str {
        &self.0.story_markdown
    }
    /// The creator's story as sanitised HTML.
    async fn story_html(&self) -> Html {
        Html(self.0.story_html.clone())
    }
    /// The shipping tariffs, by country and weight.
    async fn shipping_tariffs(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<ShippingTariff>> {
        let tariffs = ctx.load(TariffsOf(self.0.id)).await?.unwrap_or_default();
        Ok(tariffs.into_iter().map(ShippingTariff::from).collect())
    }
    /// The pickup places, newest first. For the creator's members, and for its secret tokens with
    /// `CATALOG_READ`; null for others. Everybody sees the places of a drop in `Drop.pickupPlaces`.
    async fn pickup_places(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whether to return the archived places instead.", default)] archived: bool,
    ) -> async_graphql::Result<Option<Connection<PickupPlace>>> {
        pickup_places::of_creator(ctx, self.0.id, archived).await
    }
    /// The imports of products, newest first. For the creator's members, and for its secret tokens with
    /// `CATALOG_READ`; null for others.
    async fn product_imports(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Option<Connection<ProductImport>>> {
        imports::of_creator(ctx, self.0.id).await
    }
    /// The version of the profile, which grows with every change. Pass it to `creatorUpdate` to detect
    /// changes by others.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When the creator was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the profile was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}
