//! Mutations that create, change and archive products and variants.

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
    context::ContextExt,
    input::{Form, Parsed, both, id_at, line_or_none, parsed, slug},
    money::MoneyInput,
    payload::{MutationStop, answer, payload},
    user_error::{ErrorCode, user_error},
};

/// Returns the scope in which a product may be changed.
async fn product_scope<C: ErrorCode>(
    ctx: &Context<'_>,
    product: ProductId,
    path: &str,
) -> Result<CreatorScope, MutationStop<C>> {
    let product = ctx.load(ReferredProduct(product)).await?;
    ctx.manage(product.map(|product| product.creator_id), Permission::CatalogWrite, path)
}

/// Returns the scope in which a variant may be changed.
async fn variant_scope<C: ErrorCode>(
    ctx: &Context<'_>,
    variant: VariantId,
) -> Result<CreatorScope, MutationStop<C>> {
    let variant = ctx.load(ReferredVariant(variant)).await?;
    ctx.manage(variant.map(|variant| variant.creator_id), Permission::CatalogWrite, "id")
}

/// Reads tags. A tag that does not parse is reported at its index.
fn tag_list(form: &mut Form, words: &[String]) -> Parsed<Tags> {
    if words.len() > tags::TAGS_MAX {
        return form.field("tags", Err(TagError::TooMany));
    }
    let tags =
        form.each("tags", words, tags::TAGS_MAX, |form, at, word| form.field(at, word.parse::<Tag>()))?;
    form.field("tags", Tags::new(tags))
}

/// A new product. Add its variants with `variantCreate`.
#[derive(InputObject)]
pub struct ProductCreateInput {
    /// The global id of the creator.
    pub creator_id: ID,
    /// The slug of the product's page: {SLUG_CHARS} characters of `a-z`, `0-9` and hyphens, unique within the
    /// creator. By default it is derived from the title.
    pub slug: Option<String>,
    /// The title, at most {TITLE_CHARS} characters.
    pub title: String,
    /// A summary in one or two sentences, at most {SUMMARY_CHARS} characters.
    pub summary: Option<String>,
    /// The description in Markdown, at most {MARKDOWN_CHARS} characters.
    pub description: Option<String>,
    /// The tags: at most {TAGS}, each of {TAG_CHARS} letters, digits and hyphens.
    #[graphql(default)]
    pub tags: Vec<String>,
}

user_error!(
    ProductCreateError,
    ProductCreateErrorCode,
    CreateProductRefusal {
        SlugTaken: "Another product of the creator has, or once had, this slug.",
        SlugNeeded: "No slug was given, and none can be derived from the title.",
        TooManyProducts: "The creator has the maximum number of products already.",
    }
);
payload!(
    ProductCreatePayload,
    ProductCreateError {
        /// The new product.
        product: Product,
    }
);

/// The changes to a product. Fields that are left out stay as they are.
#[derive(InputObject)]
pub struct ProductUpdateInput {
    /// The global id of the product.
    pub id: ID,
    /// The `version` that you last read. If the product or one of its variants has changed since, nothing is
    /// changed and the error is `CONFLICT`.
    pub version: Option<i64>,
    /// A new slug. The old slug keeps leading to the product.
    pub slug: Option<String>,
    /// The title, at most {TITLE_CHARS} characters.
    pub title: Option<String>,
    /// A summary in one or two sentences, at most {SUMMARY_CHARS} characters. Null removes it.
    pub summary: MaybeUndefined<String>,
    /// The description in Markdown, at most {MARKDOWN_CHARS} characters. An empty string removes it.
    pub description: Option<String>,
    /// The tags, which replace all present tags.
    pub tags: Option<Vec<String>>,
}

user_error!(ProductUpdateError, ProductUpdateErrorCode, UpdateProductRefusal {
    Conflict: "The product or one of its variants has changed since the version in the input. Read it again.",
    SlugTaken: "Another product of the creator has, or once had, this slug.",
} not_found: NotFound);
payload!(
    ProductUpdatePayload,
    ProductUpdateError {
        /// The product after the change.
        product: Product,
    }
);

/// The product to archive.
#[derive(InputObject)]
pub struct ProductArchiveInput {
    /// The global id of the product.
    pub id: ID,
}

user_error!(ProductArchiveError, ProductArchiveErrorCode, ArchiveProductRefusal {} not_found: NotFound);
payload!(
    ProductArchivePayload,
    ProductArchiveError {
        /// The product after the change.
        product: Product,
    }
);

/// The product to unarchive.
#[derive(InputObject)]
pub struct ProductUnarchiveInput {
    /// The global id of the product.
    pub id: ID,
}

user_error!(ProductUnarchiveError, ProductUnarchiveErrorCode, ArchiveProductRefusal {} not_found: NotFound);
payload!(
    ProductUnarchivePayload,
    ProductUnarchiveError {
        /// The product after the change.
        product: Product,
    }
);

/// A new variant. It is placed after the other variants of its product.
#[derive(InputObject)]
pub struct VariantCreateInput {
    /// The global id of the product.
    pub product_id: ID,
    /// The SKU, the creator's own name for the variant: {SKU_CHARS} characters of `A-Z`, `0-9`, `-`, `.` and
    /// `_`. It is unique within the creator, including archived variants.
    pub sku: String,
    /// The title, which sets the variant apart from the others, at most {VARIANT_TITLE_CHARS} characters.
    pub title: String,
    /// The price of one unit, in the creator's currency. It includes tax if the creator's `pricesIncludeTax`
    /// is true.
    pub price: MoneyInput,
    /// The weight of one packed unit, in grams: 0 to {GRAMS}. 0 means unknown.
    #[graphql(default)]
    pub weight_grams: i32,
    /// The longest side of the parcel of one unit, in millimetres: 0 to {MILLIMETRES}. 0 means unknown.
    #[graphql(default)]
    pub length_mm: i32,
    /// The second side of the parcel of one unit, in millimetres: 0 to {MILLIMETRES}. 0 means unknown.
    #[graphql(default)]
    pub width_mm: i32,
    /// The third side of the parcel of one unit, in millimetres: 0 to {MILLIMETRES}. 0 means unknown.
    #[graphql(default)]
    pub height_mm: i32,
    /// The tax class, which decides the tax rate.
    #[graphql(default_with = "TaxClass::Standard")]
    pub tax_class: TaxClass,
}

user_error!(VariantCreateError, VariantCreateErrorCode, CreateVariantRefusal {
    SkuTaken: "Another variant of the creator has this SKU. It may be an archived one.",
    TooManyVariants: "The product has the maximum number of variants already.",
    CurrencyMismatch: "The price is not in the creator's currency.",
    PriceOutOfRange: "The price is zero, negative, or above {PRICE_MINOR} minor units.",
} not_found: NotFound);
payload!(
    VariantCreatePayload,
    VariantCreateError {
        /// The new variant.
        variant: Variant,
    }
);

/// The changes to a variant. Fields that are left out stay as they are. Existing reservations keep their
/// price.
#[derive(InputObject)]
pub struct VariantUpdateInput {
    /// The global id of the variant.
    pub id: ID,
    /// The SKU, the creator's own name for the variant: {SKU_CHARS} characters of `A-Z`, `0-9`, `-`, `.` and
    /// `_`. It is unique within the creator, including archived variants.
    pub sku: Option<String>,
    /// The title, which sets the variant apart from the others, at most {VARIANT_TITLE_CHARS} characters.
    pub title: Option<String>,
    /// The price of one unit, in the creator's currency. It includes tax if the creator's `pricesIncludeTax`
    /// is true.
    pub price: Option<MoneyInput>,
    /// The weight of one packed unit, in grams: 0 to {GRAMS}. 0 means unknown.
    pub weight_grams: Option<i32>,
    /// The longest side of the parcel of one unit, in millimetres: 0 to {MILLIMETRES}. 0 means unknown.
    pub length_mm: Option<i32>,
    /// The second side of the parcel of one unit, in millimetres: 0 to {MILLIMETRES}. 0 means unknown.
    pub width_mm: Option<i32>,
    /// The third side of the parcel of one unit, in millimetres: 0 to {MILLIMETRES}. 0 means unknown.
    pub height_mm: Option<i32>,
    /// The tax class, which decides the tax rate.
    pub tax_class: Option<TaxClass>,
}

user_error!(VariantUpdateError, VariantUpdateErrorCode, UpdateVariantRefusal {
    SkuTaken: "Another variant of the creator has this SKU. It may be an archived one.",
    CurrencyMismatch: "The price is not in the creator's currency.",
    PriceOutOfRange: "The price is zero, negative, or above {PRICE_MINOR} minor units.",
} not_found: NotFound);
payload!(
    VariantUpdatePayload,
    VariantUpdateError {
        /// The variant after the change.
        variant: Variant,
    }
);

/// The variant to archive.
#[derive(InputObject)]
pub struct VariantArchiveInput {
    /// The global id of the variant.
    pub id: ID,
}

user_error!(VariantArchiveError, VariantArchiveErrorCode, ArchiveVariantRefusal {} not_found: NotFound);
payload!(
    VariantArchivePayload,
    VariantArchiveError {
        /// The variant after the change.
        variant: Variant,
    }
);

/// The variant to unarchive.
#[derive(InputObject)]
pub struct VariantUnarchiveInput {
    /// The global id of the variant.
    pub id: ID,
}

user_error!(VariantUnarchiveError, VariantUnarchiveErrorCode, ArchiveVariantRefusal {} not_found: NotFound);
payload!(
    VariantUnarchivePayload,
    VariantUnarchiveError {
        /// The variant after the change.
        variant: Variant,
    }
);

/// The mutations of the catalogue. They are for a creator's members, and for its secret tokens with
/// `CATALOG_WRITE`.
#[derive(Default)]
pub struct CatalogMutation;

#[Object]
impl CatalogMutation {
    /// Adds a product. It is public at once, but it cannot be reserved until a drop offers one of its
    /// variants. For the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn product_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new product.")] input: ProductCreateInput,
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

    /// Changes a product, archived or not. For the creator's members, and for its secret tokens with
    /// `CATALOG_WRITE`.
    async fn product_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: ProductUpdateInput,
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

    /// Archives a product, which removes it from lists and pages. Drops that sell it go on. Archiving an
    /// archived product changes nothing. For the creator's members, and for its secret tokens with
    /// `CATALOG_WRITE`.
    async fn product_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product to archive.")] input: ProductArchiveInput,
    ) -> async_graphql::Result<ProductArchivePayload> {
        answer(async {
            let product = id_at("id", &input.id)?;
            let scope = product_scope(ctx, product, "id").await?;
            Ok(ProductArchivePayload::done(Product(rules::archive_product(ctx.db(), &scope, product).await?)))
        })
        .await
    }

    /// Makes an archived product public again. If it is not archived, nothing changes. For the creator's
    /// members, and for its secret tokens with `CATALOG_WRITE`.
    async fn product_unarchive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The product to unarchive.")] input: ProductUnarchiveInput,
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

    /// Adds a variant after the other variants of its product. For the creator's members, and for its secret
    /// tokens with `CATALOG_WRITE`.
    async fn variant_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new variant.")] input: VariantCreateInput,
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

    /// Changes a variant, archived or not. Existing reservations keep their price, and drops have their own
    /// prices. For the creator's members, and for its secret tokens with `CATALOG_WRITE`.
    async fn variant_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: VariantUpdateInput,
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

    /// Archives a variant, which removes it from the list of its product. Its SKU stays taken. Drops that
    /// sell it go on. Archiving an archived variant changes nothing. For the creator's members, and for its
    /// secret tokens with `CATALOG_WRITE`.
    async fn variant_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The variant to archive.")] input: VariantArchiveInput,
    ) -> async_graphql::Result<VariantArchivePayload> {
        answer(async {
            let variant = id_at("id", &input.id)?;
            let scope = variant_scope(ctx, variant).await?;
            Ok(VariantArchivePayload::done(Variant(rules::archive_variant(ctx.db(), &scope, variant).await?)))
        })
        .await
    }

    /// Makes an archived variant public again. If it is not archived, nothing changes. For the creator's
    /// members, and for its secret tokens with `CATALOG_WRITE`.
    async fn variant_unarchive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The variant to unarchive.")] input: VariantUnarchiveInput,
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
