//! Products that come as a file: `productImport`, and how far it is.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    catalog::{
        imports::{self as rules, ComplaintCode, StartImport, StartImportRefusal, queries},
        sheet::{Sheet, SheetError},
    },
    platform::{
        Count,
        access::{Manage, Permission, authorize},
        idempotency::IdempotencyKey,
        ids::{CreatorId, ImportId},
    },
};

use super::{Product, ReferredProduct, ReferredVariant, Variant};
use crate::graphql::{
    connection::{PageArgs, connection, counting},
    context::{Reach, global, id},
    creators::{Creator, CreatorById, checked, manage},
    errors::{Complaint, Complaints, Internal, Stop, bad_input, payload, user_error},
    loaders::edge,
    uploads::Upload,
};

edge!(
    /// An import of a creator that the viewer reads for.
    SeenImport(ImportId) -> rules::ProductImport, |loaders, ids| queries::by_ids(&loaders.db, &loaders.sight, ids)
);

/// Where an import stands.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum ProductImportState {
    /// No row was looked at yet.
    Waiting,
    /// Some rows are done.
    Running,
    /// All rows are done; their outcomes say what became of them.
    Finished,
}

/// What became of a product or of a variant; in a dry run, what would.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::RowOutcome")]
pub enum ProductImportOutcome {
    /// It is new.
    Created,
    /// It was there, and says what the row says now.
    Updated,
    /// It was there, and said this before: nothing was written.
    Unchanged,
    /// The complaints say why.
    Refused,
}

/// What is wrong with a row. Codes are contract; messages are not.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "ComplaintCode")]
pub enum ProductImportComplaintCode {
    /// The cell does not parse. The message says what.
    Invalid,
    /// The cell is empty, and must not be.
    Required,
    /// Rows of this product stand further up, with those of another between.
    SlugRepeated,
    /// A row further up has this SKU.
    SkuRepeated,
    /// The cell differs from that in the first row of its product.
    ProductDiffers,
    /// The product of this variant was refused, in its first row.
    ProductRefused,
    /// Another product of the creator has, or once had, this slug.
    SlugTaken,
    /// No slug was given, and none can be made of the title.
    SlugNeeded,
    /// The creator has as many products as it may have.
    TooManyProducts,
    /// A variant of another product, perhaps an archived one, has this SKU.
    SkuTaken,
    /// The product has as many variants as it may have.
    TooManyVariants,
    /// The price is not in the creator's currency.
    CurrencyMismatch,
    /// The price is zero, less, or too much.
    PriceOutOfRange,
}

/// One thing that is wrong with a row.
#[derive(SimpleObject, Debug, Clone)]
pub struct ProductImportComplaint {
    /// For programs.
    pub code: ProductImportComplaintCode,
    /// The name of the column, as in the header; null is the whole row.
    pub column: Option<String>,
    /// For people, in English.
    pub message: String,
}

/// One row of a file of products, and what became of it.
#[derive(Clone)]
pub struct ProductImportRow(rules::ImportRow);

connection!(ProductImportRowConnection, ProductImportRowEdge, ProductImportRow);

/// One row of a file of products, and what became of it.
#[Object]
impl ProductImportRow {
    /// Its number in the file: the header is 1, blank lines do not count.
    async fn number(&self) -> i32 {
        self.0.number
    }
    /// What became of its product: in the first row of the product, once that is done.
    async fn product_outcome(&self) -> Option<ProductImportOutcome> {
        self.0.product_outcome.map(Into::into)
    }
    /// What became of its variant, once the row is done; null also when the row has none.
    async fn variant_outcome(&self) -> Option<ProductImportOutcome> {
        self.0.variant_outcome.map(Into::into)
    }
    /// What is wrong with it; a product or variant with complaints was left as it was.
    async fn complaints(&self) -> Vec<ProductImportComplaint> {
        let complaints = self.0.complaints.0.iter();
        complaints
            .map(|complaint| ProductImportComplaint {
                code: complaint.code.into(),
                column: complaint.column.map(|column| column.name().to_owned()),
                message: complaint.message.clone(),
            })
            .collect()
    }
    /// The product that was made or found, in the product's first row. After a dry run, only one that was there before.
    async fn product(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Product>> {
        let Some(product) = self.0.product_id else { return Ok(None) };
        Ok(ctx.loader().load_one(ReferredProduct(product)).await.internal()?.map(Product))
    }
    /// The variant that was made or found. After a dry run, only one that was there before.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        let Some(variant) = self.0.variant_id else { return Ok(None) };
        Ok(ctx.loader().load_one(ReferredVariant(variant)).await.internal()?.map(Variant))
    }
}

/// Products that came as a file.
#[derive(Clone)]
pub struct ProductImport(pub(crate) rules::ProductImport);

connection!(ProductImportConnection, ProductImportEdge, ProductImport);

/// Products that came as a file, and how far they are. Kept for thirty days after the end.
#[Object]
impl ProductImport {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Whose products.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.loader().load_one(CreatorById(self.0.creator_id)).await.internal()?.map(Creator))
    }
    /// Where it stands.
    async fn state(&self) -> ProductImportState {
        match self.0.finished_at {
            Some(_) => ProductImportState::Finished,
            None if self.0.rows_done == Count::ZERO => ProductImportState::Waiting,
            None => ProductImportState::Running,
        }
    }
    /// Whether it only finds out what would become of each row.
    async fn dry_run(&self) -> bool {
        self.0.dry_run
    }
    /// Rows in all, the header and blank lines aside.
    async fn row_count(&self) -> i32 {
        self.0.row_count.into()
    }
    /// Rows that are done.
    async fn rows_done(&self) -> i32 {
        self.0.rows_done.into()
    }
    /// Rows with complaints, among those that are done.
    async fn rows_refused(&self) -> i32 {
        self.0.rows_refused.into()
    }
    /// Products that are new.
    async fn products_created(&self) -> i32 {
        self.0.products_created.into()
    }
    /// Products that were changed.
    async fn products_updated(&self) -> i32 {
        self.0.products_updated.into()
    }
    /// Variants that are new.
    async fn variants_created(&self) -> i32 {
        self.0.variants_created.into()
    }
    /// Variants that were changed.
    async fn variants_updated(&self) -> i32 {
        self.0.variants_updated.into()
    }
    /// The rows, in the order of the file, with what became of each.
    async fn rows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only rows with complaints.", default)] refused: bool,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<ProductImportRowConnection> {
        let list = format!("importRows:{}", global(self.0.id).as_str());
        let page = PageArgs { first, after, last, before }.page(&list)?;
        let scope = ctx.scope(Manage { creator: self.0.creator_id, permission: Permission::CatalogRead })?;
        let slice = queries::rows(ctx.db(), &scope, self.0.id, refused, &page).await.internal()?;
        let counting = counting(ctx.db(), (scope, self.0.id, refused), |db, (scope, import, refused)| async move {
            queries::rows_count(&db, &scope, import, refused).await
        });
        Ok(ProductImportRowConnection::new(list, slice.map(ProductImportRow), counting))
    }
    /// When the file came.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the first row was looked at.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }
    /// When the last row was done.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }
}

/// The imports of a creator, for those who may read all of its catalogue; nothing for others.
pub(crate) async fn of_creator(
    ctx: &Context<'_>,
    creator: CreatorId,
    args: PageArgs,
) -> async_graphql::Result<Option<ProductImportConnection>> {
    let list = format!("imports:{}", global(creator).as_str());
    let page = args.page(&list)?;
    let Ok(scope) = authorize(ctx.viewer(), Manage { creator, permission: Permission::CatalogRead }) else { return Ok(None) };
    let slice = queries::list(ctx.db(), &scope, &page).await.internal()?;
    let counting = counting(ctx.db(), scope, |db, scope| async move { queries::count(&db, &scope).await });
    Ok(Some(ProductImportConnection::new(list, slice.map(ProductImport), counting)))
}

/// Reads of imports.
#[derive(Default)]
pub struct ImportsQuery;

#[Object]
impl ImportsQuery {
    /// Products that came as a file, and how far they are. Null when there are none of that id, or when they are not yours. For a
    /// creator's members, and its secret tokens with `catalog:read`.
    async fn product_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<ProductImport>> {
        let id = self::id::<ImportId>(&id).map_err(|error| bad_input(format!("`id`: {error}")))?;
        Ok(ctx.loader().load_one(SeenImport(id)).await.internal()?.map(ProductImport))
    }
}

/// A file of products.
#[derive(InputObject)]
pub struct ProductImportInput {
    /// To which creator.
    pub creator_id: ID,
    /// CSV in UTF-8 with a header, separated by commas, semicolons or tabs, at most 10,000 rows: one row a variant, of the columns `slug`,
    /// `title`, `summary`, `description`, `tags`, `sku`, `variant_title`, `price`, `currency`, `weight_grams`, `length_mm`, `width_mm`,
    /// `height_mm`, `tax_class`, as far as there are any; `slug` or `title` must be there. Rows of a product follow one another, and what
    /// is said of the product stands in the first of them.
    pub file: Upload,
    /// Whether only to find out what would become of each row.
    #[graphql(default)]
    pub dry_run: bool,
    /// Makes a repetition harmless: 8 to 64 characters of `A-Z`, `a-z`, `0-9`, `_`, `.`, `:` and `-`.
    pub idempotency_key: String,
}

user_error!(
    ProductImportError,
    ProductImportErrorCode,
    FileRefusal {
        NotCsv: "The file is not CSV in UTF-8, or a row does not fit the header. The message names the row.",
        BadHeader: "A column is unknown, stands there twice, or is missing. The message names it.",
        NoRows: "The file has no rows.",
        TooManyRows: "The file has more than 10,000 rows.",
        KeyReused: "The idempotency key was used for another request.",
        TooManyOpen: "Five imports of the creator are not finished yet.",
    }
);
payload!(
    ProductImportPayload,
    ProductImportError {
        /// The import: it is worked off in the background, so ask `productImport` how far it is.
        product_import: ProductImport,
        /// Whether an earlier call with the same key began it.
        replayed: bool,
    }
);

/// Why a file is not taken, in the kinds that a program can tell apart.
#[derive(Debug, Clone, Copy)]
enum FileRefusal {
    NotCsv,
    BadHeader,
    NoRows,
    TooManyRows,
    KeyReused,
    TooManyOpen,
}

impl From<StartImportRefusal> for ProductImportErrorCode {
    fn from(refusal: StartImportRefusal) -> Self {
        match refusal {
            StartImportRefusal::KeyReused => FileRefusal::KeyReused.into(),
            StartImportRefusal::TooManyOpen => FileRefusal::TooManyOpen.into(),
        }
    }
}

impl From<SheetError> for Stop<ProductImportErrorCode> {
    fn from(error: SheetError) -> Self {
        let refusal = match error {
            SheetError::NotUtf8 { .. } | SheetError::Malformed { .. } => FileRefusal::NotCsv,
            SheetError::UnknownColumn(_) | SheetError::RepeatedColumn(_) | SheetError::MissingColumn => FileRefusal::BadHeader,
            SheetError::NoRows => FileRefusal::NoRows,
            SheetError::TooManyRows => FileRefusal::TooManyRows,
        };
        Self::Complaints(vec![Complaint { code: refusal.into(), path: vec!["file".to_owned()], message: error.to_string() }])
    }
}

async fn import(ctx: &Context<'_>, input: ProductImportInput) -> Result<ProductImportPayload, Stop<ProductImportErrorCode>> {
    let mut wrong = Complaints::new();
    let creator = wrong.take(&["creatorId"], id::<CreatorId>(&input.creator_id));
    let key = IdempotencyKey::new(&input.idempotency_key).ok_or("must be 8 to 64 of A-Z, a-z, 0-9, _, ., : and -");
    let key = wrong.take(&["idempotencyKey"], key);
    let (creator, key) = checked(wrong, creator.zip(key))?;
    let scope = manage(ctx, Some(creator), Permission::CatalogWrite, "creatorId")?;
    let sheet = input.file.read(ctx, Sheet::read).await??;
    let request = StartImport { sheet, dry_run: input.dry_run, key };
    let (row, replayed) = rules::start_import(ctx.db(), &scope, request).await?;
    Ok(ProductImportPayload { product_import: Some(ProductImport(row)), replayed: Some(replayed), errors: Vec::new() })
}

/// Imports.
#[derive(Default)]
pub struct ImportsMutation;

#[Object]
impl ImportsMutation {
    /// Takes in a file of products and their variants, by the GraphQL multipart request specification. Products are matched by their
    /// slug, variants by their SKU; those that are not there are made, of the others what differs is changed, and nothing is deleted. It
    /// is worked off in the background. For a creator's members, and its secret tokens with `catalog:write`. The counterpart is
    /// `GET /creators/{id}/products.csv`.
    async fn product_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file.")] input: ProductImportInput,
    ) -> async_graphql::Result<ProductImportPayload> {
        ProductImportPayload::of(import(ctx, input).await)
    }
}
