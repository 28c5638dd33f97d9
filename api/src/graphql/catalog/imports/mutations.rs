//! The mutation that imports a file of products.

use async_graphql::{Context, ID, InputObject, Object};
use domain::{
    catalog::{
        imports::{self as rules, StartImport, StartImportRefusal},
        sheet::{Sheet, SheetError},
    },
    platform::{access::Permission, ids::CreatorId},
};

use super::ProductImport;
use edge::uploads::Upload;

use crate::graphql::{
    context::ContextExt,
    input::{Form, both},
    payload::{MutationStop, answer, payload},
    user_error::{CodeOf, UserError, user_error},
};

/// A file of products to import.
#[derive(InputObject)]
pub struct ProductImportInput {
    /// The global id of the creator.
    pub creator_id: ID,
    /// The file: CSV in UTF-8 with a header row, separated by commas, semicolons or tabs, with at most
    /// {IMPORT_ROWS} rows. Each row is a variant. The columns are `slug`, `title`, `summary`, `description`,
    /// `tags`, `sku`, `variant_title`, `price`, `currency`, `weight_grams`, `length_mm`, `width_mm`,
    /// `height_mm` and `tax_class`. All are optional, but `slug` or `title` must be present. The rows of a
    /// product must follow one another, and the first of them has the data of the product.
    pub file: Upload,
    /// Whether to only check the file: no product is changed, and each row reports what an import would do.
    #[graphql(default)]
    pub dry_run: bool,
    /// The idempotency key: {KEY_CHARS} characters of `A-Z`, `a-z`, `0-9`, `_`, `.`, `:` and `-`. Use a new
    /// key for each intention of the user, and the same key for a retry, which then has no second effect.
    /// Keys are kept for {KEY_DAYS} days.
    pub idempotency_key: String,
}

user_error!(
    ProductImportError,
    ProductImportErrorCode,
    FileRefusal {
        NotCsv: "The file is not CSV in UTF-8, or a row does not fit the header. The message names the row.",
        BadHeader: "A column is unknown, repeated or missing. The message names it.",
        NoRows: "The file has no rows.",
        TooManyRows: "The file has more than {IMPORT_ROWS} rows.",
        KeyReused: "The idempotency key was used for another request.",
        TooManyOpen: "The creator has {OPEN_IMPORTS} unfinished imports already.",
    }
);
payload!(
    ProductImportPayload,
    ProductImportError {
        /// The import. It runs in the background; follow its progress with the query `productImport`.
        product_import: ProductImport,
        /// Whether an earlier call with the same idempotency key started the import.
        replayed: bool,
    }
);

/// The reasons to refuse a file, as far as a program can distinguish them.
#[derive(Debug, Clone, Copy)]
enum FileRefusal {
    NotCsv,
    BadHeader,
    NoRows,
    TooManyRows,
    KeyReused,
    TooManyOpen,
}

impl CodeOf<StartImportRefusal> for ProductImportErrorCode {
    fn of(refusal: StartImportRefusal) -> Self {
        Self::of(match refusal {
            StartImportRefusal::KeyReused => FileRefusal::KeyReused,
            StartImportRefusal::TooManyOpen => FileRefusal::TooManyOpen,
        })
    }
}

impl From<SheetError> for MutationStop<ProductImportErrorCode> {
    fn from(error: SheetError) -> Self {
        let refusal = match error {
            SheetError::NotUtf8 { .. } | SheetError::Malformed { .. } => FileRefusal::NotCsv,
            SheetError::UnknownColumn(_) | SheetError::RepeatedColumn(_) | SheetError::MissingColumn => {
                FileRefusal::BadHeader
            }
            SheetError::NoRows => FileRefusal::NoRows,
            SheetError::TooManyRows => FileRefusal::TooManyRows,
        };
        let code = ProductImportErrorCode::of(refusal);
        Self::refused(vec![UserError { code, path: vec!["file".to_owned()], message: error.to_string() }])
    }
}

/// The mutations of imports.
#[derive(Default)]
pub struct ImportsMutation;

#[Object]
impl ImportsMutation {
    /// Imports a file of products and their variants, uploaded as the GraphQL multipart request specification
    /// defines. Products are matched by their slug, and variants by their SKU. New ones are created, existing
    /// ones are changed where they differ, and nothing is deleted. The import runs in the background. For the
    /// creator's members, and for its secret tokens with `CATALOG_WRITE`. `GET /creators/{id}/products.csv`
    /// exports a file of the same format.
    async fn product_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file.")] input: ProductImportInput,
    ) -> async_graphql::Result<ProductImportPayload> {
        answer(async {
            let mut form = Form::new();
            let creator = form.id::<CreatorId>("creatorId", &input.creator_id);
            let key = form.key(&input.idempotency_key);
            let (creator, key) = form.finish(both(creator, key))?;
            let scope = ctx.manage(creator, Permission::CatalogWrite, "creatorId")?;
            let sheet = input.file.read(ctx, Sheet::read).await??;
            let request = StartImport { sheet, dry_run: input.dry_run, key };
            let (row, replayed) = rules::start_import(ctx.db(), &scope, request).await?;
            Ok(ProductImportPayload::done(ProductImport(row), replayed))
        })
        .await
    }
}
