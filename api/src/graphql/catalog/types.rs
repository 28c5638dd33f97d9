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
    context::{ContextExt, global},
    creators::{Creator, CreatorById},
    loaders::edge,
    money::Money,
    scalars::{CurrencyCode, Html},
};

edge!(
    /// A product that the viewer may see.
    SeenProduct(ProductId) -> rules::Product, |loaders, ids| queries::by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A product that something in the viewer's scope refers to, archived or not.
    ReferredProduct(ProductId) -> rules::Product,
    |loaders, ids| queries::referred_by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A variant that the viewer may see.
    SeenVariant(VariantId) -> rules::Variant,
    |loaders, ids| queries::variants_by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A variant that something in the viewer's scope refers to, archived or not.
    ReferredVariant(VariantId) -> rules::Variant,
    |loaders, ids| queries::referred_variants_by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// The variants of a product that the viewer may see, in order.
    VariantsOf(ProductId) -> Vec<rules::Variant>,
    |loaders, ids| queries::variants_of(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// The tags of a product.
    TagsOfProduct(ProductId) -> Vec<Tag>, |loaders, ids| tags::tags_of(&loaders.db, TagKind::Product, ids)
);

/// The tax class of goods. Each country has its own tax rate for each class.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::TaxClass")]
pub enum TaxClass {
    /// The standard rate.
    Standard,
    /// The reduced rate of a country that has one.
    Reduced,
    /// Printed books and similar goods.
    Books,
    /// Food and drink.
    Food,
    /// Not taxed.
    Zero,
}

/// A product.
#[derive(Clone)]
pub struct Product(pub(crate) rules::Product);

impl ListNode for Product {}

/// A product of a creator. Buyers reserve its variants in drops.
#[Object]
impl Product {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The current slug, unique within the creator. If you looked the product up by an older slug, redirect
    /// to this one.
    async fn slug(&self) -> &str {
        &self.0.slug
    }
    /// The title.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// The summary in one or two sentences; may be empty.
    async fn summary(&self) -> &str {
        &self.0.summary
    }
    /// The description in Markdown, as the creator wrote it; may be empty.
    async fn description_markdown(&self) -> &str {
        &self.0.description_markdown
    }
    /// The description as sanitised HTML.
    async fn description_html(&self) -> Html {
        Html(self.0.description_html.clone())
    }
    /// The tags, sorted.
    async fn tags(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<String>> {
        let tags = ctx.load(TagsOfProduct(self.0.id)).await?.unwrap_or_default();
        Ok(tags.iter().map(|tag| tag.as_str().to_owned()).collect())
    }
    /// The creator.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
    }
    /// The currency of all prices of the product.
    async fn currency(&self) -> CurrencyCode {
        CurrencyCode(self.0.currency)
    }
    /// The lowest price of its variants. Null while the product has no variant. A drop has its own prices.
    async fn price_min(&self) -> Option<Money> {
        (self.0.price_min_minor > 0).then(|| Money::minor(self.0.price_min_minor, self.0.currency))
    }
    /// The variants, in the creator's order; at most {VARIANTS}. Archived variants are included only for the
    /// creator's members.
    async fn variants(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<Variant>> {
        let variants = ctx.load(VariantsOf(self.0.id)).await?.unwrap_or_default();
        Ok(variants.into_iter().map(Variant).collect())
    }
    /// The version of the product, which grows with every change of the product or of its variants. Pass it
    /// to `productUpdate` to detect changes by others.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When the product was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the product or one of its variants was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
    /// When the product was archived. Null while it is public.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }
}

/// A variant of a product.
#[derive(Clone)]
pub struct Variant(pub(crate) rules::Variant);

/// A variant of a product that can be ordered, such as one size or colour.
#[Object]
impl Variant {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The SKU: the creator's own name for the variant, unique within the creator.
    async fn sku(&self) -> &str {
        &self.0.sku
    }
    /// The title, which sets the variant apart from the others.
    async fn title(&self) -> &str {
        &self.0.title
    }
    /// The product.
    async fn product(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Product>> {
        Ok(ctx.load(ReferredProduct(self.0.product_id)).await?.map(Product))
    }
    /// The price of one unit. It includes tax if the creator's `pricesIncludeTax` is true. A drop has its own
    /// prices.
    async fn price(&self) -> Money {
        self.0.price().into()
    }
    /// The weight of one packed unit, in grams. 0 means unknown.
    async fn weight_grams(&self) -> i32 {
        self.0.weight_grams.into()
    }
    /// The longest side of the parcel of one unit, in millimetres. 0 means unknown.
    async fn length_mm(&self) -> i32 {
        self.0.length_mm.into()
    }
    /// The second side of the parcel of one unit, in millimetres. 0 means unknown.
    async fn width_mm(&self) -> i32 {
        self.0.width_mm.into()
    }
    /// The third side of the parcel of one unit, in millimetres. 0 means unknown.
    async fn height_mm(&self) -> i32 {
        self.0.height_mm.into()
    }
    /// The tax class, which decides the tax rate.
    async fn tax_class(&self) -> TaxClass {
        self.0.tax_class.into()
    }
    /// When the variant was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the variant was last changed.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.0.updated_at
    }
    /// When the variant was archived. Null while it is public.
    async fn archived_at(&self) -> Option<DateTime<Utc>> {
        self.0.archived_at
    }
}
