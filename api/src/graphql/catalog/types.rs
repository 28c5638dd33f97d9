//! Products and their variants.

use async_graphql::{Context, Enum, ID, Object};
use chrono::{DateTime, Utc};
use domain::{
    catalog::{self as rules, queries},
    platform::{
        ids::{ProductId, VariantId},
        tags::{self, Tag, TagKind},
    },
};

use crate::graphql::{
    connection::ListNode,
    context::{Reach, global},
    creators::{Creator, CreatorById},
    loaders::edge,
    money::Money,
    scalars::{CurrencyCode, Html},
};

edge!(
    /// A product that the viewer sees.
    SeenProduct(ProductId) -> rules::Product, |loaders, ids| queries::by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A product that something in the viewer's scope refers to, archived or not.
    ReferredProduct(ProductId) -> rules::Product, |loaders, ids| queries::referred_by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A variant that the viewer sees.
    SeenVariant(VariantId) -> rules::Variant, |loaders, ids| queries::variants_by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A variant that something in the viewer's scope refers to, archived or not.
    ReferredVariant(VariantId) -> rules::Variant, |loaders, ids| queries::referred_variants_by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// The variants of a product that the viewer sees, in order.
    VariantsOf(ProductId) -> Vec<rules::Variant>, |loaders, ids| queries::variants_of(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// The tags of a product.
    TagsOfProduct(ProductId) -> Vec<Tag>, |loaders, ids| tags::tags_of(&loaders.db, TagKind::Product, ids)
);

/// For which tax rate goods count; each country has its own rate for each class.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::TaxClass")]
pub enum TaxClass {
    /// The normal rate.
    Standard,
    /// The lower rate of a country that has one.
    Reduced,
    /// Printed books and the like.
    Books,
    /// What is eaten or drunk.
    Food,
    /// Not taxed.
    Zero,
}

/// What a creator makes. It is reserved in drops, by variant.
#[derive(Clone)]
pub struct Product(pub(crate) rules::Product);

impl ListNode for Product {}

/// What a creator makes. It is reserved in drops, by variant.
#[Object]
impl Product {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The present slug, unique within the creator. If you asked by another one, redirect to this.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
    /// What it is called.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// In one or two sentences; may be empty.
    async fn summary(&self) -> &str {
        &self.0.summary
    }
    /// The description as its creator wrote it, in Markdown; may be empty.
    async fn description_markdown(&self) -> &str {
        &self.0.description_markdown
    }
    /// The description, rendered and sanitised.
    async fn description_html(&self) -> Html {
        Html(self.0.description_html.clone())
    }
    /// The words by which it is found, sorted.
    async fn tags(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        let tags = ctx.load(TagsOfProduct(self.0.id)).await?.unwrap_or_default();
        Ok(tags.iter().map(|tag| tag.as_str().to_owned()).collect())
    }
    /// Who makes it.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
    }
    /// The currency of all its prices.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// The lowest price of its variants; null while there is none. A drop has prices of its own.
    async fn price_min(&self) -> Option<Money> {
        (self.0.price_min_minor > 0).then(|| Money::minor(self.0.price_min_minor, self.0.currency))
    }
    /// Its variants, in the creator's order; at most 100. Archived ones are for the creator's members only.
    async fn variants(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Variant>> {
        let variants = ctx.load(VariantsOf(self.0.id)).await?.unwrap_or_default();
        Ok(variants.into_iter().map(Variant).collect())
    }
    /// Counts changes of the product and of its variants; give it to `productUpdate` to be told of a change
    /// in between.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it, or one of its variants, was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
    /// Since when it is out of sight; null while it is public.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }
}

/// One orderable kind of a product.
#[derive(Clone)]
pub struct Variant(pub(crate) rules::Variant);

/// One orderable kind of a product: a size, a colour.
#[Object]
impl Variant {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The creator's own name for it, unique within the creator.
    async fn sku(&self) -> &str {
        &self.0.sku
    }
    /// What sets it apart from the others.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// What is made.
    async fn product(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Product>> {
        Ok(ctx.load(ReferredProduct(self.0.product_id)).await?.map(Product))
    }
    /// The price of one unit, with or without tax as the creator's prices are. A drop has prices of its own.
    async fn price(&self) -> Money {
        self.0.price().into()
    }
    /// The weight of one unit, packed, in grams; 0 is unknown.
    async fn weight_grams(&self) -> i32 {
        self.0.weight_grams.into()
    }
    /// The longest side of the parcel of one unit, in millimetres; 0 is unknown.
    async fn length_mm(&self) -> i32 {
        self.0.length_mm.into()
    }
    /// The second side of the parcel of one unit, in millimetres; 0 is unknown.
    async fn width_mm(&self) -> i32 {
        self.0.width_mm.into()
    }
    /// The third side of the parcel of one unit, in millimetres; 0 is unknown.
    async fn height_mm(&self) -> i32 {
        self.0.height_mm.into()
    }
    /// For which tax rate it counts.
    async fn tax_class(&self) -> TaxClass {
        self.0.tax_class.into()
    }
    /// When it was added.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When it was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
    /// Since when it is out of sight; null while it is offered.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }
}
