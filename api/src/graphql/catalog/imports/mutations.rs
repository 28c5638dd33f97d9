//! To take in a file of products.

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
    context::Reach,
    input::{Form, both},
    payload::{Stop, answer, payload},
    user_error::{CodeOf, UserError, user_error},
};

/// A file of products.
#[derive(InputObject)]
pub struct ProductImportInput {
    /// To which creator.
    pub creator_id: ID,
    /// CSV in UTF-8 with a header, separated by commas, semicolons or tabs, at most 10,000 rows: one row a
    /// variant, of the columns `slug`, `title`, `summary`, `description`, `tags`, `sku`, `variant_title`,
    /// `price`, `currency`, `weight_grams`, `length_mm`, `width_mm`, `height_mm`, `tax_class`, as far as
    /// there are any; `slug` or `title` must be there. Rows of a product follow one another, and what is said
    /// of the product stands in the first of them.
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

impl CodeOf<StartImportRefusal> for ProductImportErrorCode {
    fn of(refusal: StartImportRefusal) -> Self {
        Self::of(match refusal {
            StartImportRefusal::KeyReused => FileRefusal::KeyReused,
            StartImportRefusal::TooManyOpen => FileRefusal::TooManyOpen,
        })
    }
}

impl From<SheetError> for Stop<ProductImportErrorCode> {
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

/// Writes of imports.
#[derive(Default)]
pub struct ImportsMutation;

#[Object]
impl ImportsMutation {
    /// Takes in a file of products and their variants, by the GraphQL multipart request specification.
    /// Products are matched by their slug, variants by their SKU; those that are not there are made, of the
    /// others what differs is changed, and nothing is deleted. It is worked off in the background. For a
    /// creator's members, and its secret tokens with `catalog:write`. The counterpart is `GET
    /// /creators/{id}/products.csv`.
    async fn product_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file.")] input: ProductImportInput,
    ) -> async_graphql::Result<ProductImportPayload> {
        answer(async {
            let mut form = Form::new();
            let creator = form.id::<CreatorId>("creatorId", &input.creator_id);
            let key = form.key(&input.idempotency_key, "must be 8 to 64 of A-Z, a-z, 0-9, _, ., : and -");
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
