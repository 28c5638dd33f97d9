//! The public profile of a creator.

use async_graphql::{Context, ID, Object};
use chrono::{DateTime, Utc};
use domain::{
    creators::{self as rules, queries},
    platform::ids::CreatorId,
};

use crate::graphql::{
    catalog::imports::{self, ProductImport},
    connection::{Connection, ListNode},
    context::{Reach, global},
    loaders::edge,
    reservations::tables::{ShippingTariff, TariffsOf},
    scalars::{CurrencyCode, Html},
};

edge!(
    /// A creator.
    CreatorById(CreatorId) -> rules::Creator, |loaders, ids| queries::by_ids(&loaders.db, loaders.sight.public_scope(), ids)
);

/// A workshop that sells small runs of what it makes: its public profile.
#[derive(Clone)]
pub struct Creator(pub(crate) rules::Creator);

impl ListNode for Creator {}

/// A workshop that sells small runs of what it makes: its public profile. For what it makes and sells, ask
/// `products` and `drops` with its id in the filter.
#[Object]
impl Creator {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The present slug, unique in the marketplace. If you asked by another one, redirect to this.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
    /// What it is called.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// What it does, in one line; may be empty.
    async fn tagline(&self) -> &str {
        &self.0.tagline
    }
    /// The town or region that it works in; may be empty.
    async fn place(&self) -> &str {
        &self.0.place
    }
    /// Its country, by the code of ISO 3166-1 alpha-2, such as `PT`.
    async fn country(&self) -> &str {
        self.0.country.code()
    }
    /// Its time zone, by the name in the IANA database, such as `Europe/Lisbon`. Dates on which a balance is
    /// due are dates there.
    async fn time_zone(&self) -> &str {
        self.0.time_zone.name()
    }
    /// The currency of all its prices.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// Whether its prices include tax.
    async fn prices_include_tax(&self) -> bool {
        self.0.prices_include_tax
    }
    /// Its story as it was written, in Markdown; may be empty.
    async fn story_markdown(&self) -> &str {
        &self.0.story_markdown
    }
    /// Its story, rendered and sanitised.
    async fn story_html(&self) -> Html {
        Html(self.0.story_html.clone())
    }
    /// What it asks for parcels, by country and weight.
    async fn shipping_tariffs(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<ShippingTariff>> {
        let tariffs = ctx.load(TariffsOf(self.0.id)).await?.unwrap_or_default();
        Ok(tariffs.into_iter().map(ShippingTariff::from).collect())
    }
    /// Files of products that came in, newest first. For its members, and its secret tokens with
    /// `catalog:read`; null for others.
    async fn product_imports(
        &self,
        ctx: &Context<'_>,
    ) -> async_graphql::Result<Option<Connection<ProductImport>>> {
        imports::of_creator(ctx, self.0.id).await
    }
    /// Counts changes of the profile; give it to `creatorUpdate` to be told of a change in between.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When it opened.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When its profile was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
}
