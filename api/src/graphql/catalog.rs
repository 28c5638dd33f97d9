//! The catalogue: products and their variants; in [`imports`] those that come as a file.

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object};
use chrono::{DateTime, Utc};
use domain::{
    catalog::{
        self as rules, ArchiveProductRefusal, ArchiveVariantRefusal, CreateProduct, CreateProductRefusal, CreateVariant,
        CreateVariantRefusal, Grams, Millimetres, PriceRange, ProductTitle, Summary, UpdateProduct, UpdateProductRefusal,
        UpdateVariant, UpdateVariantRefusal, VariantTitle, queries,
    },
    platform::{
        access::{CreatorScope, Manage, Permission},
        ids::{CreatorId, ProductId, VariantId},
        tags::{self, Tag, TagError, TagKind, Tags},
        text::Markdown,
    },
};

use super::{
    connection::{PageArgs, connection},
    context::{Reach, global, id},
    creators::{Creator, CreatorById, change, checked, creator_id_by_slug, manage, optional, slug},
    errors::{CommonCode, Complaints, Internal, Stop, bad_input, payload, user_error},
    loaders::edge,
    money::{Money, MoneyInput},
    scalars::{CurrencyCode, Html},
};

pub mod imports;

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

/// In which order products are listed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::ProductSort")]
pub enum ProductSort {
    /// Those made last first.
    Newest,
    /// By the lowest price of a variant, rising; of use with one currency.
    PriceAscending,
    /// By the lowest price of a variant, falling; of use with one currency.
    PriceDescending,
    /// By title, from A to Z.
    Title,
}

/// What a creator makes. It is reserved in drops, by variant.
#[derive(Clone)]
pub struct Product(pub(crate) rules::Product);

connection!(ProductConnection, ProductEdge, Product);

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
        let tags = ctx.loader().load_one(TagsOfProduct(self.0.id)).await.internal()?.unwrap_or_default();
        Ok(tags.iter().map(|tag| tag.as_str().to_owned()).collect())
    }
    /// Who makes it.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.loader().load_one(CreatorById(self.0.creator_id)).await.internal()?.map(Creator))
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
        let variants = ctx.loader().load_one(VariantsOf(self.0.id)).await.internal()?.unwrap_or_default();
        Ok(variants.into_iter().map(Variant).collect())
    }
    /// Counts changes of the product and of its variants; give it to `productUpdate` to be told of a change in between.
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
        Ok(ctx.loader().load_one(ReferredProduct(self.0.product_id)).await.internal()?.map(Product))
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

/// Which products; all conditions hold together.
#[derive(InputObject, Default)]
pub struct ProductFilter {
    /// Of one creator.
    pub creator_id: Option<ID>,
    /// With this tag.
    pub tag: Option<String>,
    /// With a lowest price at or above this; only products of its currency.
    pub price_min: Option<MoneyInput>,
    /// With a lowest price at or below this; only products of its currency.
    pub price_max: Option<MoneyInput>,
    /// Archived ones too. Needs `creatorId`: for the creator's members, and its secret tokens with `catalog:read`.
    pub archived: Option<bool>,
}

impl ProductFilter {
    fn parse(self) -> async_graphql::Result<queries::ProductFilter> {
        let bad = |name: &str, error: &dyn std::fmt::Display| bad_input(format!("`filter.{name}`: {error}"));
        let price =
            |name, price: Option<MoneyInput>| price.map(|price| price.parse().map_err(|error| bad(name, &error))).transpose();
        let (min, max) = (price("priceMin", self.price_min)?, price("priceMax", self.price_max)?);
        if let (Some(min), Some(max)) = (min, max)
            && min.currency != max.currency
        {
            return Err(bad("priceMax", &"must be of the currency of `priceMin`"));
        }
        let (min_minor, max_minor) = (min.map(|price| price.minor), max.map(|price| price.minor));
        Ok(queries::ProductFilter {
            creator: self.creator_id.map(|creator| id(&creator).map_err(|error| bad("creatorId", &error))).transpose()?,
            tag: self.tag.map(|tag| tag.parse().map_err(|error: TagError| bad("tag", &error))).transpose()?,
            price: min.or(max).map(|price| PriceRange { currency: price.currency, min_minor, max_minor }),
        })
    }
}

/// Reads of the catalogue.
#[derive(Default)]
pub struct CatalogQuery;

#[Object]
impl CatalogQuery {
    /// Products that are not archived, as a list to page through. With a creator's token: of that creator only.
    #[expect(clippy::too_many_arguments, reason = "a list field has the arguments of the Relay specification")]
    async fn products(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which products.")] filter: Option<ProductFilter>,
        #[graphql(desc = "In which order.", default_with = "ProductSort::Newest")] sort: ProductSort,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<ProductConnection> {
        let list = format!("products:{sort:?}");
        let page = PageArgs { first, after, last, before }.page(&list)?;
        let filter = filter.unwrap_or_default();
        let archived = filter.archived.unwrap_or(false);
        let filter = filter.parse()?;
        let (db, public) = (ctx.db().clone(), *ctx.sight()?.public_scope());
        let own = if archived { Some(own_scope(ctx, filter.creator)?) } else { None };
        let slice = match &own {
            Some(scope) => queries::list_own(&db, scope, &filter, true, sort.into(), &page).await,
            None => queries::list(&db, &public, &filter, sort.into(), &page).await,
        };
        let slice = slice.internal()?;
        let counting = Box::new(move || {
            let (db, filter) = (db.clone(), filter.clone());
            let counted: async_graphql::futures_util::future::BoxFuture<'static, _> = Box::pin(async move {
                match &own {
                    Some(scope) => queries::count_own(&db, scope, &filter, true).await,
                    None => queries::count(&db, &public, &filter).await,
                }
            });
            counted
        });
        Ok(ProductConnection::new(list, slice.map(Product), counting))
    }

    /// A product by the slugs of its creator and its own, present or past: compare `slug` with what you asked for, and redirect when it
    /// differs. Null when there is none that the viewer may see.
    async fn product(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator's slug.")] creator: String,
        #[graphql(desc = "The product's slug.")] slug: String,
    ) -> async_graphql::Result<Option<Product>> {
        let sight = ctx.sight()?;
        let Some(creator) = creator_id_by_slug(ctx, &creator).await? else { return Ok(None) };
        Ok(queries::by_slug(ctx.db(), &sight, creator, &slug).await.internal()?.map(Product))
    }
}

fn own_scope(ctx: &Context<'_>, creator: Option<CreatorId>) -> async_graphql::Result<CreatorScope> {
    let creator = creator.ok_or_else(|| bad_input("`filter.archived` needs `filter.creatorId`"))?;
    ctx.scope(Manage { creator, permission: Permission::CatalogRead })
}

/// The scope in which a product may be changed.
async fn product_scope<C: CommonCode>(ctx: &Context<'_>, product: ProductId, path: &str) -> Result<CreatorScope, Stop<C>> {
    let product = ctx.loader().load_one(ReferredProduct(product)).await.internal()?;
    manage(ctx, product.map(|product| product.creator_id), Permission::CatalogWrite, path)
}

/// The scope in which a variant may be changed.
async fn variant_scope<C: CommonCode>(ctx: &Context<'_>, variant: VariantId) -> Result<CreatorScope, Stop<C>> {
    let variant = ctx.loader().load_one(ReferredVariant(variant)).await.internal()?;
    manage(ctx, variant.map(|variant| variant.creator_id), Permission::CatalogWrite, "id")
}

/// Reads tags, with the place of each that is none.
fn tag_list<C: CommonCode>(wrong: &mut Complaints<C>, words: &[String]) -> Option<Tags> {
    if words.len() > tags::TAGS_MAX {
        wrong.invalid(&["tags"], TagError::TooMany.to_string());
        return None;
    }
    let mut read = Vec::with_capacity(words.len());
    for (at, word) in words.iter().enumerate() {
        read.extend(wrong.take(&["tags", &at.to_string()], word.parse::<Tag>()));
    }
    wrong.take(&["tags"], Tags::new(read))
}

/// A product to be added; add its variants with `variantCreate`.
#[derive(InputObject)]
pub struct ProductCreateInput {
    /// To which creator.
    pub creator_id: ID,
    /// The slug of its page, 2 to 80 of `a-z`, `0-9` and hyphens; left out, one is made of the title. Slugs are unique within the creator.
    pub slug: Option<String>,
    /// What it is called, at most 120 characters.
    pub title: String,
    /// In one or two sentences, at most 300 characters.
    pub summary: Option<String>,
    /// In full, in Markdown, at most 20,000 characters.
    pub description: Option<String>,
    /// The words by which it is found: at most 20, each of 2 to 40 letters, digits and hyphens.
    #[graphql(default)]
    pub tags: Vec<String>,
}

user_error!(
    ProductCreateError,
    ProductCreateErrorCode,
    CreateProductRefusal {
        SlugTaken: "Another product of the creator has, or once had, this slug.",
        SlugNeeded: "No slug was given, and none can be made of the title.",
        TooManyProducts: "The creator has as many products as it may have.",
    }
);
payload!(
    ProductCreatePayload,
    ProductCreateError {
        /// The new product.
        product: Product,
    }
);

async fn create_product(
    ctx: &Context<'_>,
    input: ProductCreateInput,
) -> Result<ProductCreatePayload, Stop<ProductCreateErrorCode>> {
    let mut wrong = Complaints::new();
    let creator = wrong.take(&["creatorId"], id::<CreatorId>(&input.creator_id));
    let own_slug = wrong.take_some(&["slug"], input.slug.as_deref().map(slug));
    let title = wrong.take(&["title"], ProductTitle::new(&input.title));
    let summary = wrong.take_some(&["summary"], input.summary.as_deref().map(optional)).flatten();
    let description = wrong.take(&["description"], Markdown::new(input.description.as_deref().unwrap_or_default()));
    let tags = tag_list(&mut wrong, &input.tags);
    let parsed = (|| {
        let (creator, title, description, tags) = (creator?, title?, description?, tags?);
        Some((creator, CreateProduct { slug: own_slug, title, summary, description, tags }))
    })();
    let (creator, request) = checked(wrong, parsed)?;
    let scope = manage(ctx, Some(creator), Permission::CatalogWrite, "creatorId")?;
    let product = rules::create_product(ctx.db(), &scope, request).await?;
    Ok(ProductCreatePayload { product: Some(Product(product)), errors: Vec::new() })
}

/// What is to change of a product. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct ProductUpdateInput {
    /// Which product.
    pub id: ID,
    /// The `version` that you read: when somebody has changed the product since, nothing is changed and the error is CONFLICT.
    pub version: Option<i64>,
    /// A new slug; the old one leads to the product still.
    pub slug: Option<String>,
    /// What it is called, at most 120 characters.
    pub title: Option<String>,
    /// In one or two sentences, at most 300 characters; null takes it away.
    pub summary: MaybeUndefined<String>,
    /// In full, in Markdown, at most 20,000 characters; an empty text takes it away.
    pub description: Option<String>,
    /// The words by which it is found, instead of all present ones.
    pub tags: Option<Vec<String>>,
}

user_error!(ProductUpdateError, ProductUpdateErrorCode, UpdateProductRefusal {
    Conflict: "Somebody has changed the product, or a variant of it, since that version. Read it again.",
    SlugTaken: "Another product of the creator has, or once had, this slug.",
} not_found: NotFound);
payload!(
    ProductUpdatePayload,
    ProductUpdateError {
        /// The product as it is now.
        product: Product,
    }
);

async fn update_product(
    ctx: &Context<'_>,
    input: ProductUpdateInput,
) -> Result<ProductUpdatePayload, Stop<ProductUpdateErrorCode>> {
    let mut wrong = Complaints::new();
    let product = wrong.take(&["id"], id::<ProductId>(&input.id));
    let own_slug = wrong.take_some(&["slug"], input.slug.as_deref().map(slug));
    let title = wrong.take_some(&["title"], input.title.as_deref().map(ProductTitle::new));
    let summary: Option<Option<Summary>> = change(&mut wrong, "summary", input.summary);
    let description = wrong.take_some(&["description"], input.description.as_deref().map(Markdown::new));
    let tags = input.tags.and_then(|words| tag_list(&mut wrong, &words));
    let version = input.version;
    let request = product.map(|product| UpdateProduct { product, version, slug: own_slug, title, summary, description, tags });
    let request = checked(wrong, request)?;
    let scope = product_scope(ctx, request.product, "id").await?;
    let product = rules::update_product(ctx.db(), &scope, request).await?;
    Ok(ProductUpdatePayload { product: Some(Product(product)), errors: Vec::new() })
}

/// Which product to take out of sight.
#[derive(InputObject)]
pub struct ProductArchiveInput {
    /// Which product.
    pub id: ID,
}

user_error!(ProductArchiveError, ProductArchiveErrorCode, ArchiveProductRefusal {} not_found: NotFound);
payload!(
    ProductArchivePayload,
    ProductArchiveError {
        /// The product as it is now.
        product: Product,
    }
);

async fn archive_product(
    ctx: &Context<'_>,
    input: ProductArchiveInput,
) -> Result<ProductArchivePayload, Stop<ProductArchiveErrorCode>> {
    let mut wrong = Complaints::new();
    let product = wrong.take(&["id"], id::<ProductId>(&input.id));
    let product = checked(wrong, product)?;
    let scope = product_scope(ctx, product, "id").await?;
    let product = rules::archive_product(ctx.db(), &scope, product).await?;
    Ok(ProductArchivePayload { product: Some(Product(product)), errors: Vec::new() })
}

/// Which product to bring back.
#[derive(InputObject)]
pub struct ProductUnarchiveInput {
    /// Which product.
    pub id: ID,
}

user_error!(ProductUnarchiveError, ProductUnarchiveErrorCode, ArchiveProductRefusal {} not_found: NotFound);
payload!(
    ProductUnarchivePayload,
    ProductUnarchiveError {
        /// The product as it is now.
        product: Product,
    }
);

async fn unarchive_product(
    ctx: &Context<'_>,
    input: ProductUnarchiveInput,
) -> Result<ProductUnarchivePayload, Stop<ProductUnarchiveErrorCode>> {
    let mut wrong = Complaints::new();
    let product = wrong.take(&["id"], id::<ProductId>(&input.id));
    let product = checked(wrong, product)?;
    let scope = product_scope(ctx, product, "id").await?;
    let product = rules::unarchive_product(ctx.db(), &scope, product).await?;
    Ok(ProductUnarchivePayload { product: Some(Product(product)), errors: Vec::new() })
}

/// A variant to be added behind the others of its product.
#[derive(InputObject)]
pub struct VariantCreateInput {
    /// To which product.
    pub product_id: ID,
    /// The creator's own name for it, 1 to 64 of `A-Z`, `0-9`, `-`, `.` and `_`; unique within the creator, archived variants included.
    pub sku: String,
    /// What sets it apart from the others, at most 80 characters.
    pub title: String,
    /// The price of one unit, in the creator's currency, with or without tax as the creator's prices are.
    pub price: MoneyInput,
    /// The weight of one unit, packed: 0 to 100,000 grams; 0 is unknown.
    #[graphql(default)]
    pub weight_grams: i32,
    /// The longest side of the parcel of one unit: 0 to 5,000 millimetres; 0 is unknown.
    #[graphql(default)]
    pub length_mm: i32,
    /// The second side of the parcel of one unit: 0 to 5,000 millimetres; 0 is unknown.
    #[graphql(default)]
    pub width_mm: i32,
    /// The third side of the parcel of one unit: 0 to 5,000 millimetres; 0 is unknown.
    #[graphql(default)]
    pub height_mm: i32,
    /// For which tax rate it counts.
    #[graphql(default_with = "TaxClass::Standard")]
    pub tax_class: TaxClass,
}

user_error!(VariantCreateError, VariantCreateErrorCode, CreateVariantRefusal {
    SkuTaken: "Another variant of the creator, perhaps an archived one, has this SKU.",
    TooManyVariants: "The product has as many variants as it may have.",
    CurrencyMismatch: "The price is not in the creator's currency.",
    PriceOutOfRange: "The price is zero, less, or too much.",
} not_found: NotFound);
payload!(
    VariantCreatePayload,
    VariantCreateError {
        /// The new variant.
        variant: Variant,
    }
);

async fn create_variant(
    ctx: &Context<'_>,
    input: VariantCreateInput,
) -> Result<VariantCreatePayload, Stop<VariantCreateErrorCode>> {
    let mut wrong = Complaints::new();
    let product = wrong.take(&["productId"], id::<ProductId>(&input.product_id));
    let sku = wrong.take(&["sku"], input.sku.parse());
    let title = wrong.take(&["title"], VariantTitle::new(&input.title));
    let price = wrong.take(&["price", "amount"], input.price.parse());
    let weight = wrong.take(&["weightGrams"], Grams::try_from(input.weight_grams));
    let length = wrong.take(&["lengthMm"], Millimetres::try_from(input.length_mm));
    let width = wrong.take(&["widthMm"], Millimetres::try_from(input.width_mm));
    let height = wrong.take(&["heightMm"], Millimetres::try_from(input.height_mm));
    let tax_class = input.tax_class.into();
    let parsed = (|| {
        let (product, sku, title, price) = (product?, sku?, title?, price?);
        let (weight, length, width, height) = (weight?, length?, width?, height?);
        Some(CreateVariant { product, sku, title, price, weight, length, width, height, tax_class })
    })();
    let request = checked(wrong, parsed)?;
    let scope = product_scope(ctx, request.product, "productId").await?;
    let variant = rules::create_variant(ctx.db(), &scope, request).await?;
    Ok(VariantCreatePayload { variant: Some(Variant(variant)), errors: Vec::new() })
}

/// What is to change of a variant. Fields that are left out stay as they are; what was reserved keeps its price.
#[derive(InputObject)]
pub struct VariantUpdateInput {
    /// Which variant.
    pub id: ID,
    /// The creator's own name for it, 1 to 64 of `A-Z`, `0-9`, `-`, `.` and `_`; unique within the creator, archived variants included.
    pub sku: Option<String>,
    /// What sets it apart from the others, at most 80 characters.
    pub title: Option<String>,
    /// The price of one unit, in the creator's currency, with or without tax as the creator's prices are.
    pub price: Option<MoneyInput>,
    /// The weight of one unit, packed: 0 to 100,000 grams; 0 is unknown.
    pub weight_grams: Option<i32>,
    /// The longest side of the parcel of one unit: 0 to 5,000 millimetres; 0 is unknown.
    pub length_mm: Option<i32>,
    /// The second side of the parcel of one unit: 0 to 5,000 millimetres; 0 is unknown.
    pub width_mm: Option<i32>,
    /// The third side of the parcel of one unit: 0 to 5,000 millimetres; 0 is unknown.
    pub height_mm: Option<i32>,
    /// For which tax rate it counts.
    pub tax_class: Option<TaxClass>,
}

user_error!(VariantUpdateError, VariantUpdateErrorCode, UpdateVariantRefusal {
    SkuTaken: "Another variant of the creator, perhaps an archived one, has this SKU.",
    CurrencyMismatch: "The price is not in the creator's currency.",
    PriceOutOfRange: "The price is zero, less, or too much.",
} not_found: NotFound);
payload!(
    VariantUpdatePayload,
    VariantUpdateError {
        /// The variant as it is now.
        variant: Variant,
    }
);

async fn update_variant(
    ctx: &Context<'_>,
    input: VariantUpdateInput,
) -> Result<VariantUpdatePayload, Stop<VariantUpdateErrorCode>> {
    let mut wrong = Complaints::new();
    let variant = wrong.take(&["id"], id::<VariantId>(&input.id));
    let sku = wrong.take_some(&["sku"], input.sku.as_deref().map(str::parse));
    let title = wrong.take_some(&["title"], input.title.as_deref().map(VariantTitle::new));
    let price = wrong.take_some(&["price", "amount"], input.price.as_ref().map(MoneyInput::parse));
    let weight = wrong.take_some(&["weightGrams"], input.weight_grams.map(Grams::try_from));
    let length = wrong.take_some(&["lengthMm"], input.length_mm.map(Millimetres::try_from));
    let width = wrong.take_some(&["widthMm"], input.width_mm.map(Millimetres::try_from));
    let height = wrong.take_some(&["heightMm"], input.height_mm.map(Millimetres::try_from));
    let tax_class = input.tax_class.map(Into::into);
    let request = variant.map(|variant| UpdateVariant { variant, sku, title, price, weight, length, width, height, tax_class });
    let request = checked(wrong, request)?;
    let scope = variant_scope(ctx, request.variant).await?;
    let variant = rules::update_variant(ctx.db(), &scope, request).await?;
    Ok(VariantUpdatePayload { variant: Some(Variant(variant)), errors: Vec::new() })
}

/// Which variant to take out of sight.
#[derive(InputObject)]
pub struct VariantArchiveInput {
    /// Which variant.
    pub id: ID,
}

user_error!(VariantArchiveError, VariantArchiveErrorCode, ArchiveVariantRefusal {} not_found: NotFound);
payload!(
    VariantArchivePayload,
    VariantArchiveError {
        /// The variant as it is now.
        variant: Variant,
    }
);

async fn archive_variant(
    ctx: &Context<'_>,
    input: VariantArchiveInput,
) -> Result<VariantArchivePayload, Stop<VariantArchiveErrorCode>> {
    let mut wrong = Complaints::new();
    let variant = wrong.take(&["id"], id::<VariantId>(&input.id));
    let variant = checked(wrong, variant)?;
    let scope = variant_scope(ctx, variant).await?;
    let variant = rules::archive_variant(ctx.db(), &scope, variant).await?;
    Ok(VariantArchivePayload { variant: Some(Variant(variant)), errors: Vec::new() })
}

/// Which variant to bring back.
#[derive(InputObject)]
pub struct VariantUnarchiveInput {
    /// Which variant.
    pub id: ID,
}

user_error!(VariantUnarchiveError, VariantUnarchiveErrorCode, ArchiveVariantRefusal {} not_found: NotFound);
payload!(
    VariantUnarchivePayload,
    VariantUnarchiveError {
        /// The variant as it is now.
        variant: Variant,
    }
);

async fn unarchive_variant(
    ctx: &Context<'_>,
    input: VariantUnarchiveInput,
) -> Result<VariantUnarchivePayload, Stop<VariantUnarchiveErrorCode>> {
    let mut wrong = Complaints::new();
    let variant = wrong.take(&["id"], id::<VariantId>(&input.id));
    let variant = checked(wrong, variant)?;
    let scope = variant_scope(ctx, variant).await?;
    let variant = rules::unarchive_variant(ctx.db(), &scope, variant).await?;
    Ok(VariantUnarchivePayload { variant: Some(Variant(variant)), errors: Vec::new() })
}

/// Changes of the catalogue: for a creator's members, and its secret tokens with `catalog:write`.
#[derive(Default)]
pub struct CatalogMutation;

#[Object]
impl CatalogMutation {
    /// Adds a product. It is public at once; nothing of it can be reserved until a drop offers a variant.
    async fn product_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product to be added.")] input: ProductCreateInput,
    ) -> async_graphql::Result<ProductCreatePayload> {
        ProductCreatePayload::of(create_product(ctx, input).await)
    }

    /// Changes a product, archived or not.
    async fn product_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: ProductUpdateInput,
    ) -> async_graphql::Result<ProductUpdatePayload> {
        ProductUpdatePayload::of(update_product(ctx, input).await)
    }

    /// Takes a product out of lists and pages. Drops that sell it go on. Doing it again changes nothing.
    async fn product_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product.")] input: ProductArchiveInput,
    ) -> async_graphql::Result<ProductArchivePayload> {
        ProductArchivePayload::of(archive_product(ctx, input).await)
    }

    /// Brings an archived product back. Doing it again changes nothing.
    async fn product_unarchive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product.")] input: ProductUnarchiveInput,
    ) -> async_graphql::Result<ProductUnarchivePayload> {
        ProductUnarchivePayload::of(unarchive_product(ctx, input).await)
    }

    /// Adds a variant behind the others of its product.
    async fn variant_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The variant to be added.")] input: VariantCreateInput,
    ) -> async_graphql::Result<VariantCreatePayload> {
        VariantCreatePayload::of(create_variant(ctx, input).await)
    }

    /// Changes a variant, archived or not. What was reserved keeps its price, and a drop its own prices.
    async fn variant_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: VariantUpdateInput,
    ) -> async_graphql::Result<VariantUpdatePayload> {
        VariantUpdatePayload::of(update_variant(ctx, input).await)
    }

    /// Takes a variant out of its product's list; its SKU stays taken. Drops that sell it go on. Doing it again changes nothing.
    async fn variant_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which variant.")] input: VariantArchiveInput,
    ) -> async_graphql::Result<VariantArchivePayload> {
        VariantArchivePayload::of(archive_variant(ctx, input).await)
    }

    /// Brings an archived variant back. Doing it again changes nothing.
    async fn variant_unarchive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which variant.")] input: VariantUnarchiveInput,
    ) -> async_graphql::Result<VariantUnarchivePayload> {
        VariantUnarchivePayload::of(unarchive_variant(ctx, input).await)
    }
}
