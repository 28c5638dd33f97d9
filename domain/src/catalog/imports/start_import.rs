//! Starts an import: stores the rows of a file, which are processed in the background.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, EntityTrait, PaginatorTrait, QueryFilter, entity::ColumnTrait,
};
use serde::Serialize;

use super::{ImportProducts, ProductImport, RowComplaints, import_row, report_row};
use crate::{
    catalog::sheet::{Sheet, SheetRow},
    creators,
    platform::{
        Count, Db, EntityId, OpError, Tx,
        access::CreatorScope,
        audit,
        idempotency::{self, Claim, IdempotencyKey},
        ids::{CreatorId, ImportId},
        in_tx,
        tasks::{self, NewTask},
    },
};

/// The most unfinished imports of a creator.
pub const OPEN_MAX: u64 = 5;

/// The rows that are inserted with one statement. A row has eleven columns, and a statement of SQLite
/// has at most 32,766 values.
const ROWS_AT_ONCE: usize = 500;

/// A request to import a file of products.
#[derive(Debug, Clone)]
pub struct StartImport {
    /// The file's content.
    pub sheet: Sheet,
    /// Whether the import only reports what would happen to each row.
    pub dry_run: bool,
    /// The idempotency key; it makes a repetition harmless.
    pub key: IdempotencyKey,
}

/// The reasons to refuse an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartImportRefusal {
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The creator has as many unfinished imports as allowed: see [`OPEN_MAX`].
    #[error("there are already five unfinished imports: wait until one finishes")]
    TooManyOpen,
}

/// The parts of a request that must be equal for a repetition.
#[derive(Serialize)]
struct ImportKeyInput<'a> {
    creator: CreatorId,
    digest: &'a str,
    dry_run: bool,
}

/// Stores the rows of a file and queues the task that processes them. Returns the import, and whether an
/// earlier call with the same key created it.
pub async fn start_import(
    db: &Db,
    scope: &CreatorScope,
    request: StartImport,
) -> Result<(ProductImport, bool), OpError<StartImportRefusal>> {
    in_tx(db, scope, async |tx| {
        let id: ImportId = tx.new_id();
        let input = ImportKeyInput {
            creator: scope.creator(),
            digest: &request.sheet.digest,
            dry_run: request.dry_run,
        };
        match idempotency::claim(tx, tx.actor(), "product.import", &request.key, &input, id.uuid()).await? {
            Claim::Fresh => {}
            Claim::Replay(made) => return Ok((replayed(tx, scope, ImportId::from_uuid(made)).await?, true)),
            Claim::Mismatch => {
                return Err(OpError::refuse_field(StartImportRefusal::KeyReused, "idempotencyKey"));
            }
        }
        // From here to the end of the transaction, no other import of this creator can start.
        creators::hold(tx, scope).await?;
        let open = import_row::owned(scope).filter(import_row::Column::FinishedAt.is_null());
        if open.count(tx.conn()).await? >= OPEN_MAX {
            return Err(OpError::refuse(StartImportRefusal::TooManyOpen));
        }
        let import = insert(tx, scope, id, &request).await?;
        tasks::enqueue(tx, NewTask::from(ImportProducts { import: id }).unique()).await?;
        audit::record(tx, "product.import", id, &["rows", "dry_run"]).await?;
        Ok((import, false))
    })
    .await
}

async fn replayed(
    tx: &Tx,
    scope: &CreatorScope,
    id: ImportId,
) -> Result<ProductImport, OpError<StartImportRefusal>> {
    let row = import_row::owned(scope).filter(import_row::Column::Id.eq(id)).one(tx.conn()).await?;
    row.ok_or_else(|| OpError::inconsistent("the import of a used idempotency key does not exist"))
}

async fn insert(
    tx: &Tx,
    scope: &CreatorScope,
    id: ImportId,
    request: &StartImport,
) -> Result<ProductImport, OpError<StartImportRefusal>> {
    let rows = &request.sheet.rows;
    let row_count = Count::try_from(rows.len()).map_err(OpError::inconsistent)?;
    let import = import_row::ActiveModel {
        id: Set(id),
        creator_id: Set(scope.creator()),
        dry_run: Set(request.dry_run),
        row_count: Set(row_count),
        rows_done: Set(Count::ZERO),
        row_last: Set(0),
        rows_refused: Set(Count::ZERO),
        products_created: Set(Count::ZERO),
        products_updated: Set(Count::ZERO),
        variants_created: Set(Count::ZERO),
        variants_updated: Set(Count::ZERO),
        created_at: Set(tx.now()),
        started_at: Set(None),
        finished_at: Set(None),
    };
    let import = import.insert(tx.conn()).await?;
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let rows = rows.iter().map(|row| kept(tx, &import, row));
        report_row::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    }
    Ok(import)
}

fn kept(tx: &Tx, import: &ProductImport, row: &SheetRow) -> report_row::ActiveModel {
    report_row::ActiveModel {
        id: Set(tx.new_id()),
        import_id: Set(import.id),
        creator_id: Set(import.creator_id),
        number: Set(row.number),
        first: Set(row.first),
        cells: Set(row.cells.clone()),
        complaints: Set(RowComplaints(row.complaints.clone())),
        product_outcome: Set(None),
        variant_outcome: Set(None),
        product_id: Set(None),
        variant_id: Set(None),
    }
}
