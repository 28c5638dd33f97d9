//! To add, change and archive products and variants.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};
use domain::{
    catalog::{
        self as rules, ArchiveProductRefusal, ArchiveVariantRefusal, CreateProduct, CreateProductRefusal,
        CreateVariant, CreateVariantRefusal, Grams, Millimetres, ProductTitle, UpdateProduct,
        UpdateProductRefusal, UpdateVariant, UpdateVariantRefusal, VariantTitle,
    },
    platform::{
        access::{CreatorScope, Permission},
        ids::{CreatorId, ProductId, VariantId},
        tags::{self, Tag, TagError, Tags},
        text::Markdown,
    },
};

use super::{Product, ReferredProduct, ReferredVariant, TaxClass, Variant};
use crate::graphql::{
    context::Reach,
    input::{Form, Parsed, both, id_at, line_or_none, parsed, slug},
    money::MoneyInput,
    payload::{Stop, answer, payload},
    user_error::{ErrorCode, user_error},
};

/// The scope in which a product may be changed.
async fn product_scope<C: ErrorCode>(
    ctx: &Context<'_>,
    product: ProductId,
    path: &str,
) -> Result<CreatorScope, Stop<C>> {
    let product = ctx.load(ReferredProduct(product)).await?;
    ctx.manage(product.map(|product| product.creator_id), Permission::CatalogWrite, path)
}

/// The scope in which a variant may be changed.
async fn variant_scope<C: ErrorCode>(ctx: &Context<'_>, variant: VariantId) -> Result<CreatorScope, Stop<C>> {
    let variant = ctx.load(ReferredVariant(variant)).await?;
    ctx.manage(variant.map(|variant| variant.creator_id), Permission::CatalogWrite, "id")
}

/// Reads tags, with the place of each that is none.
fn tag_list(form: &mut Form, words: &[String]) -> Parsed<Tags> {
    if words.len() > tags::TAGS_MAX {
        return form.field("tags", Err(TagError::TooMany));
    }
    let tags =
        form.each("tags", words, tags::TAGS_MAX, |form, at, word| form.field(at, word.parse::<Tag>()))?;
    form.field("tags", Tags::new(tags))
}

/// A product to be added; add its variants with `variantCreate`.
#[derive(InputObject)]
pub struct ProductCreateInput {
    /// To which creator.
    pub creator_id: ID,
    /// The slug of its page, 2 to 80 of `a-z`, `0-9` and hyphens; left out, one is made of the title. Slugs
    /// are unique within the creator.
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

/// What is to change of a product. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct ProductUpdateInput {
    /// Which product.
    pub id: ID,
    /// The `version` that you read: when somebody has changed the product since, nothing is changed and the
    /// error is CONFLICT.
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

/// A variant to be added behind the others of its product.
#[derive(InputObject)]
pub struct VariantCreateInput {
    /// To which product.
    pub product_id: ID,
    /// The creator's own name for it, 1 to 64 of `A-Z`, `0-9`, `-`, `.` and `_`; unique within the creator,
    /// archived variants included.
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

/// What is to change of a variant. Fields that are left out stay as they are; what was reserved keeps its
/// price.
#[derive(InputObject)]
pub struct VariantUpdateInput {
    /// Which variant.
    pub id: ID,
    /// The creator's own name for it, 1 to 64 of `A-Z`, `0-9`, `-`, `.` and `_`; unique within the creator,
    /// archived variants included.
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
        answer(async {
            let mut form = Form::new();
            let creator = form.id::<CreatorId>("creatorId", &input.creator_id);
            let request = parsed!(CreateProduct {
                slug: form.optional("slug", input.slug.as_deref().map(slug)),
                title: form.field("title", ProductTitle::new(&input.title)),
                summary: form
                    .optional("summary", input.summary.as_deref().map(line_or_none))
                    .map(Option::flatten),
                description: form
                    .field("description", Markdown::new(input.description.as_deref().unwrap_or_default())),
                tags: tag_list(&mut form, &input.tags),
            });
            let (creator, request) = form.finish(both(creator, request))?;
            let scope = ctx.manage(creator, Permission::CatalogWrite, "creatorId")?;
            Ok(ProductCreatePayload::done(Product(rules::create_product(ctx.db(), &scope, request).await?)))
        })
        .await
    }

    /// Changes a product, archived or not.
    async fn product_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: ProductUpdateInput,
    ) -> async_graphql::Result<ProductUpdatePayload> {
        answer(async {
            let mut form = Form::new();
            let request = parsed!(UpdateProduct {
                product: form.id("id", &input.id),
                version: Ok(input.version),
                slug: form.optional("slug", input.slug.as_deref().map(slug)),
                title: form.optional("title", input.title.as_deref().map(ProductTitle::new)),
                summary: form.change("summary", input.summary, |text| line_or_none(&text)),
                description: form.optional("description", input.description.as_deref().map(Markdown::new)),
                tags: input.tags.map(|words| tag_list(&mut form, &words)).transpose(),
            });
            let request = form.finish(request)?;
            let scope = product_scope(ctx, request.product, "id").await?;
            Ok(ProductUpdatePayload::done(Product(rules::update_product(ctx.db(), &scope, request).await?)))
        })
        .await
    }

    /// Takes a product out of lists and pages. Drops that sell it go on. Doing it again changes nothing.
    async fn product_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product.")] input: ProductArchiveInput,
    ) -> async_graphql::Result<ProductArchivePayload> {
        answer(async {
            let product = id_at("id", &input.id)?;
            let scope = product_scope(ctx, product, "id").await?;
            Ok(ProductArchivePayload::done(Product(rules::archive_product(ctx.db(), &scope, product).await?)))
        })
        .await
    }

    /// Brings an archived product back. Doing it again changes nothing.
    async fn product_unarchive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which product.")] input: ProductUnarchiveInput,
    ) -> async_graphql::Result<ProductUnarchivePayload> {
        answer(async {
            let product = id_at("id", &input.id)?;
            let scope = product_scope(ctx, product, "id").await?;
            Ok(ProductUnarchivePayload::done(Product(
                rules::unarchive_product(ctx.db(), &scope, product).await?,
            )))
        })
        .await
    }

    /// Adds a variant behind the others of its product.
    async fn variant_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The variant to be added.")] input: VariantCreateInput,
    ) -> async_graphql::Result<VariantCreatePayload> {
        answer(async {
            let mut form = Form::new();
            let request = parsed!(CreateVariant {
                product: form.id("productId", &input.product_id),
                sku: form.field("sku", input.sku.parse()),
                title: form.field("title", VariantTitle::new(&input.title)),
                price: form.money("price", &input.price),
                weight: form.field("weightGrams", Grams::try_from(input.weight_grams)),
                length: form.field("lengthMm", Millimetres::try_from(input.length_mm)),
                width: form.field("widthMm", Millimetres::try_from(input.width_mm)),
                height: form.field("heightMm", Millimetres::try_from(input.height_mm)),
                tax_class: Ok(input.tax_class.into()),
            });
            let request = form.finish(request)?;
            let scope = product_scope(ctx, request.product, "productId").await?;
            Ok(VariantCreatePayload::done(Variant(rules::create_variant(ctx.db(), &scope, request).await?)))
        })
        .await
    }

    /// Changes a variant, archived or not. What was reserved keeps its price, and a drop its own prices.
    async fn variant_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to change.")] input: VariantUpdateInput,
    ) -> async_graphql::Result<VariantUpdatePayload> {
        answer(async {
            let mut form = Form::new();
            let request = parsed!(UpdateVariant {
                variant: form.id("id", &input.id),
                sku: form.optional("sku", input.sku.as_deref().map(str::parse)),
                title: form.optional("title", input.title.as_deref().map(VariantTitle::new)),
                price: input.price.as_ref().map(|price| form.money("price", price)).transpose(),
                weight: form.optional("weightGrams", input.weight_grams.map(Grams::try_from)),
                length: form.optional("lengthMm", input.length_mm.map(Millimetres::try_from)),
                width: form.optional("widthMm", input.width_mm.map(Millimetres::try_from)),
                height: form.optional("heightMm", input.height_mm.map(Millimetres::try_from)),
                tax_class: Ok(input.tax_class.map(Into::into)),
            });
            let request = form.finish(request)?;
            let scope = variant_scope(ctx, request.variant).await?;
            Ok(VariantUpdatePayload::done(Variant(rules::update_variant(ctx.db(), &scope, request).await?)))
        })
        .await
    }

    /// Takes a variant out of its product's list; its SKU stays taken. Drops that sell it go on. Doing it
    /// again changes nothing.
    async fn variant_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which variant.")] input: VariantArchiveInput,
    ) -> async_graphql::Result<VariantArchivePayload> {
        answer(async {
            let variant = id_at("id", &input.id)?;
            let scope = variant_scope(ctx, variant).await?;
            Ok(VariantArchivePayload::done(Variant(rules::archive_variant(ctx.db(), &scope, variant).await?)))
        })
        .await
    }

    /// Brings an archived variant back. Doing it again changes nothing.
    async fn variant_unarchive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which variant.")] input: VariantUnarchiveInput,
    ) -> async_graphql::Result<VariantUnarchivePayload> {
        answer(async {
            let variant = id_at("id", &input.id)?;
            let scope = variant_scope(ctx, variant).await?;
            Ok(VariantUnarchivePayload::done(Variant(
                rules::unarchive_variant(ctx.db(), &scope, variant).await?,
            )))
        })
        .await
    }
}
