//! Imports, and the results of the rows of their files.

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
    context::{ContextExt, global},
    creators::{Creator, CreatorById},
    errors::Internal,
    loaders::edge,
};

edge!(
    /// An import of a creator whose catalogue the viewer may read.
    SeenImport(ImportId) -> rules::ProductImport,
    |loaders, ids| queries::by_ids(&loaders.db, &loaders.sight, ids)
);

/// The state of an import.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
pub enum ProductImportState {
    /// No row has been processed yet.
    Waiting,
    /// Some rows are processed.
    Running,
    /// All rows are processed, and each has its outcome.
    Finished,
}

/// The outcome for a product or a variant. In a dry run, it is what an import would do.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::RowOutcome")]
pub enum ProductImportOutcome {
    /// It was created.
    Created,
    /// It existed, and was changed to match the row.
    Updated,
    /// It existed and matched the row already, so nothing was written.
    Unchanged,
    /// It was not imported. The complaints of the row say why.
    Refused,
}

/// The code of a complaint about a row. Codes are part of the contract; messages are not.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "ComplaintCode")]
pub enum ProductImportComplaintCode {
    /// The cell does not parse. The message has the details.
    Invalid,
    /// The cell is empty, but a value is required.
    Required,
    /// The rows of this product are not consecutive: rows of another product stand between them.
    SlugRepeated,
    /// An earlier row has this SKU.
    SkuRepeated,
    /// The cell differs from the cell in the first row of its product.
    ProductDiffers,
    /// The product of this variant was refused in its first row.
    ProductRefused,
    /// Another product of the creator has, or once had, this slug.
    SlugTaken,
    /// No slug was given, and none can be derived from the title.
    SlugNeeded,
    /// The creator has the maximum number of products already.
    TooManyProducts,
    /// A variant of another product has this SKU. It may be an archived one.
    SkuTaken,
    /// The product has the maximum number of variants already.
    TooManyVariants,
    /// The price is not in the creator's currency.
    CurrencyMismatch,
    /// The price is zero, negative, or above {PRICE_MINOR} minor units.
    PriceOutOfRange,
}

/// A complaint about a row.
#[derive(SimpleObject, Debug, Clone)]
pub struct ProductImportComplaint {
    /// A code for programs.
    pub code: ProductImportComplaintCode,
    /// The name of the column, as in the header. Null if the complaint is about the whole row.
    pub column: Option<String>,
    /// A message for people, in English.
    pub message: String,
}

/// A row of an imported file.
#[derive(Clone)]
pub struct ProductImportRow(rules::ImportRow);

impl ListNode for ProductImportRow {}

/// A row of an imported file, and its outcome.
#[Object]
impl ProductImportRow {
    /// The number of the row in the file. The header is row 1, and blank lines do not count.
    async fn number(&self) -> i32 {
        self.0.number
    }
    /// The outcome for the product. It is set in the first row of the product, once that row is processed.
    async fn product_outcome(&self) -> Option<ProductImportOutcome> {
        self.0.product_outcome.map(Into::into)
    }
    /// The outcome for the variant, once the row is processed. Null also if the row has no variant.
    async fn variant_outcome(&self) -> Option<ProductImportOutcome> {
        self.0.variant_outcome.map(Into::into)
    }
    /// The complaints about the row. A product or variant with complaints is left unchanged.
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
    /// The product that was created or matched, in the product's first row. After a dry run, only a product
    /// that existed before.
    async fn product(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Product>> {
        let Some(product) = self.0.product_id else { return Ok(None) };
        Ok(ctx.load(ReferredProduct(product)).await?.map(Product))
    }
    /// The variant that was created or matched. After a dry run, only a variant that existed before.
    async fn variant(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Variant>> {
        let Some(variant) = self.0.variant_id else { return Ok(None) };
        Ok(ctx.load(ReferredVariant(variant)).await?.map(Variant))
    }
}

/// An import of a file of products.
#[derive(Clone)]
pub struct ProductImport(pub(crate) rules::ProductImport);

impl ListNode for ProductImport {}

/// An import of a file of products, and its progress. It is kept for {IMPORT_DAYS} days after it finished.
#[Object]
impl ProductImport {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The creator of the products.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
    }
    /// The state of the import.
    async fn state(&self) -> ProductImportState {
        match self.0.finished_at {
            Some(_) => ProductImportState::Finished,
            None if self.0.rows_done == Count::ZERO => ProductImportState::Waiting,
            None => ProductImportState::Running,
        }
    }
    /// Whether the import only checks the file and changes nothing.
    async fn dry_run(&self) -> bool {
        self.0.dry_run
    }
    /// The number of rows in the file, without the header and blank lines.
    async fn row_count(&self) -> i32 {
        self.0.row_count.into()
    }
    /// The number of rows that are processed.
    async fn rows_done(&self) -> i32 {
        self.0.rows_done.into()
    }
    /// The number of processed rows that have complaints.
    async fn rows_refused(&self) -> i32 {
        self.0.rows_refused.into()
    }
    /// The number of products that were created. In a dry run, the number that an import would have created.
    async fn products_created(&self) -> i32 {
        self.0.products_created.into()
    }
    /// The number of products that were changed. In a dry run, the number that an import would have changed.
    async fn products_updated(&self) -> i32 {
        self.0.products_updated.into()
    }
    /// The number of variants that were created. In a dry run, the number that an import would have created.
    async fn variants_created(&self) -> i32 {
        self.0.variants_created.into()
    }
    /// The number of variants that were changed. In a dry run, the number that an import would have changed.
    async fn variants_updated(&self) -> i32 {
        self.0.variants_updated.into()
    }
    /// The rows with their outcomes, in the order of the file.
    async fn rows(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whether to return only rows with complaints.", default)] refused: bool,
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
    /// When the file was uploaded.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the first row was processed.
    async fn started_at(&self) -> Option<DateTime<Utc>> {
        self.0.started_at
    }
    /// When the last row was processed.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at
    }
}
