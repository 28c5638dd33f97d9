//! Imports, and the rows of their files with what became of each.

use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    catalog::imports::{self as rules, ComplaintCode, queries},
    platform::{
        Count,
        access::{Manage, Permission},
        ids::ImportId,
    },
};

use crate::graphql::{
    catalog::{Product, ReferredProduct, ReferredVariant, Variant},
    connection::{Connection, List, ListNode},
    context::{Reach, global},
    creators::{Creator, CreatorById},
    errors::Internal,
    loaders::edge,
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

impl ListNode for ProductImportRow {}

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
    /// The product that was made or found, in the product's first row. After a dry run, only one that was
    /// there before.
    async fn product(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Product>> {
        let Some(product) = self.0.product_id else { return Ok(None) };
        Ok(ctx.load(ReferredProduct(product)).await?.map(Product))
    }
    /// The variant that was made or found. After a dry run, only one that was there before.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        let Some(variant) = self.0.variant_id else { return Ok(None) };
        Ok(ctx.load(ReferredVariant(variant)).await?.map(Variant))
    }
}

/// Products that came as a file.
#[derive(Clone)]
pub struct ProductImport(pub(crate) rules::ProductImport);

impl ListNode for ProductImport {}

/// Products that came as a file, and how far they are. Kept for thirty days after the end.
#[Object]
impl ProductImport {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// Whose products.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
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
    ) -> async_graphql::Result<Connection<ProductImportRow>> {
        let list = List::of(ctx, format!("importRows:{}", global(self.0.id).as_str()))?;
        let scope = ctx.scope(Manage { creator: self.0.creator_id, permission: Permission::CatalogRead })?;
        let slice = queries::rows(ctx.db(), &scope, self.0.id, refused, &list.page).await.internal()?;
        let asked = (scope, self.0.id, refused);
        Ok(
            list.connection(
                slice.map(ProductImportRow),
                ctx.db(),
                asked,
                |db, (scope, import, refused)| async move {
                    queries::rows_count(&db, &scope, import, refused).await
                },
            ),
        )
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
