//! To take in a file of products: its rows are kept, and worked off in the background.

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

/// The most imports of a creator that are not finished.
pub const OPEN_MAX: u64 = 5;

/// Rows that are written with one statement: ten columns each, and a statement of SQLite has at most 32,766
/// values.
const ROWS_AT_ONCE: usize = 500;

/// A file of products.
#[derive(Debug, Clone)]
pub struct StartImport {
    /// What it holds.
    pub sheet: Sheet,
    /// Whether it is only found out what would become of each row.
    pub dry_run: bool,
    /// Makes a repetition harmless.
    pub key: IdempotencyKey,
}

/// Why nothing is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartImportRefusal {
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// As many wait as may: see [`OPEN_MAX`].
    #[error("five imports are not finished yet: wait for them")]
    TooManyOpen,
}

/// What makes two requests the same.
#[derive(Serialize)]
struct Input<'a> {
    creator: CreatorId,
    digest: &'a str,
    dry_run: bool,
}

/// Keeps the rows of a file and queues the task that works them off. Answers the import, and whether an
/// earlier call with the same key made it.
pub async fn start_import(
    db: &Db,
    scope: &CreatorScope,
    request: StartImport,
) -> Result<(ProductImport, bool), OpError<StartImportRefusal>> {
    in_tx(db, scope, async |tx| {
        let id: ImportId = tx.new_id();
        let input =
            Input { creator: scope.creator(), digest: &request.sheet.digest, dry_run: request.dry_run };
        match idempotency::claim(tx, tx.actor(), "product.import", &request.key, &input, id.uuid()).await? {
            Claim::Fresh => {}
            Claim::Replay(made) => return Ok((replayed(tx, scope, ImportId::from_uuid(made)).await?, true)),
            Claim::Mismatch => {
                return Err(OpError::refuse_field(StartImportRefusal::KeyReused, "idempotencyKey"));
            }
        }
        // From now on no other import of this creator begins.
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
    row.ok_or_else(|| OpError::inconsistent("an import outlives the key that made it"))
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
