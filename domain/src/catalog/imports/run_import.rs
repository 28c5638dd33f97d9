//! Processes some rows of an import: their effects, their reports and the cursor are written in one
//! transaction.

use std::{collections::BTreeMap, time::Duration};

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, IntoActiveModel};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    ImportRow, ProductImport, RowComplaints, RowOutcome,
    apply_row::{Applied, RowContext, apply_product, apply_variant},
    import_row, report_row,
};
use crate::{
    catalog::{Product, policy::VARIANTS_MAX, sheet::Cells},
    creators,
    platform::{
        Db, EntityId, Inconsistency, NeverRefused, OpError, StoreError, Tx,
        access::{CreatorScope, SystemScope},
        audit,
        ids::ImportId,
        in_tx,
        tasks::{self, Attempt, NewTask, Queue, TASK_SECS_MAX, Task, TaskError},
        values::OutOfBounds,
    },
};

/// The rows of one transaction, at least. They are few, so that the transaction hardly delays others that
/// wait for the SQLite writer or for the creator's lock.
const ROWS_AT_ONCE: usize = 25;
/// The rows that are read for one transaction. The rows of a product are processed together; at most
/// [`VARIANTS_MAX`] of them count.
const ROWS_LOOKED_AT: u64 = 150;

/// How long a task works on one import before it yields to other tasks. This is well below the time limit of
/// a task.
const WORKS_FOR: Duration = Duration::from_secs(TASK_SECS_MAX / 3);

/// The task that imports the products of a file, or continues to do so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportProducts {
    /// The import.
    pub import: ImportId,
}

impl Task for ImportProducts {
    type Context = ();

    const KIND: &'static str = "import_products";
    const QUEUE: Queue = Queue::Imports;
    const REASON: &'static str = "product-import";

    fn subject(&self) -> String {
        self.import.public()
    }

    async fn run(self, attempt: &Attempt, _: &()) -> Result<(), TaskError> {
        let (db, scope, began) = (&attempt.db, &attempt.scope, Instant::now());
        while run_import(db, scope, self.import).await? == Progress::More {
            if began.elapsed() > WORKS_FOR {
                run_import_later(db, scope, self.import).await?;
                break;
            }
        }
        Ok(())
    }
}

/// Whether rows of an import are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Rows are left.
    More,
    /// The import is finished, or was deleted.
    Finished,
}

/// Processes the next rows of an import. After a crash, continues after the last row that is done.
pub async fn run_import(
    db: &Db,
    system: &SystemScope,
    id: ImportId,
) -> Result<Progress, OpError<NeverRefused>> {
    let Some(import) = import_row::by_id(db.reader(), id).await? else { return Ok(Progress::Finished) };
    let scope = system.as_creator(import.creator_id);
    Ok(in_tx(db, &scope, async |tx| run_some(tx, &scope, id).await).await?)
}

/// Queues the task that continues an import.
async fn run_import_later(db: &Db, system: &SystemScope, id: ImportId) -> Result<(), DbErr> {
    let task = NewTask::from(ImportProducts { import: id }).unique();
    in_tx(db, system.actor(), async |tx| tasks::enqueue(tx, task).await).await
}

async fn run_some(tx: &Tx, scope: &CreatorScope, id: ImportId) -> Result<Progress, StoreError> {
    let Some(import) = import_row::lock(tx, scope, id).await? else { return Ok(Progress::Finished) };
    if import.finished_at.is_some() {
        return Ok(Progress::Finished);
    }
    // Imports of a creator run one at a time: each locks several products, in the order of its file.
    let creator = creators::hold(tx, scope).await?;
    let rows = whole_products(report_row::after(tx, scope, id, import.row_last, ROWS_LOOKED_AT).await?);
    let made = if import.dry_run { u64::from(import.products_created) } else { 0 };
    let context = RowContext { tx, scope, currency: creator.currency, products_rehearsed: made };
    let applied = if import.dry_run {
        tx.rolled_back(async || apply(&context, &rows).await).await
    } else {
        apply(&context, &rows).await
    }?;
    report(tx, import, rows, applied).await
}

/// Truncates the rows to those of whole products, but keeps at least some.
fn whole_products(mut rows: Vec<ImportRow>) -> Vec<ImportRow> {
    let next = rows.get(ROWS_AT_ONCE.saturating_sub(1)).map(|last| last.first);
    if let Some(end) = next.and_then(|first| rows.iter().rposition(|row| row.first == first)) {
        rows.truncate(end.saturating_add(1));
    }
    rows
}

/// Applies rows and returns their outcomes by row number.
async fn apply(context: &RowContext<'_>, rows: &[ImportRow]) -> Result<BTreeMap<i32, Applied>, StoreError> {
    let mut all = BTreeMap::new();
    let mut product: Option<Product> = None;
    let mut head: Option<(i32, Cells)> = None;
    let mut place = 0_u64;
    for row in rows {
        let cells = &row.cells;
        let mut applied = Applied { complaints: row.complaints.0.clone(), ..Applied::default() };
        if row.first == row.number {
            (product, place) = (apply_product(context, cells, &mut applied).await?, 0);
            head = Some((row.number, cells.clone()));
        }
        // Normally a product's first row is in the same batch. It was processed in an earlier batch only if
        // the product has far more rows than allowed.
        let first = head.as_ref().filter(|(number, _)| *number == row.first);
        let too_many = first.is_none() || place >= VARIANTS_MAX;
        place = place.saturating_add(1);
        let first = first.filter(|(number, _)| *number != row.number).map(|(_, cells)| cells);
        apply_variant(context, cells, first, product.as_ref(), too_many, &mut applied).await?;
        all.insert(row.number, applied);
    }
    Ok(all)
}

/// Stores the outcomes of rows and the progress of the import.
async fn report(
    tx: &Tx,
    import: ProductImport,
    rows: Vec<ImportRow>,
    mut applied: BTreeMap<i32, Applied>,
) -> Result<Progress, StoreError> {
    let mut tally = import.clone();
    let (rehearsed, none_left) = (import.dry_run, rows.is_empty());
    for row in rows {
        let Some(applied) = applied.remove(&row.number) else { continue };
        count(&mut tally, row.number, &applied).map_err(Inconsistency::new)?;
        let mut row = row.into_active_model();
        row.complaints = Set(RowComplaints(applied.complaints));
        row.product_outcome = Set(applied.product);
        row.variant_outcome = Set(applied.variant);
        // A dry run rolls back what it created, so these ids do not exist.
        row.product_id =
            Set(applied.product_id.filter(|_| !(rehearsed && applied.product == Some(RowOutcome::Created))));
        row.variant_id =
            Set(applied.variant_id.filter(|_| !(rehearsed && applied.variant == Some(RowOutcome::Created))));
        row.update(tx.conn()).await?;
    }
    let finished = none_left || tally.rows_done >= tally.row_count;
    let mut import = import.into_active_model();
    import.rows_done = Set(tally.rows_done);
    import.row_last = Set(tally.row_last);
    import.rows_refused = Set(tally.rows_refused);
    import.products_created = Set(tally.products_created);
    import.products_updated = Set(tally.products_updated);
    import.variants_created = Set(tally.variants_created);
    import.variants_updated = Set(tally.variants_updated);
    if finished {
        import.finished_at = Set(Some(tx.now()));
        audit::record(tx, "product.import_end", tally.id, &["rows_done"]).await?;
    }
    import.update(tx.conn()).await?;
    Ok(if finished { Progress::Finished } else { Progress::More })
}

fn count(tally: &mut ProductImport, number: i32, applied: &Applied) -> Result<(), OutOfBounds> {
    tally.row_last = number;
    let (product, variant) = (applied.product, applied.variant);
    for (counted, count) in [
        (true, &mut tally.rows_done),
        (!applied.complaints.is_empty(), &mut tally.rows_refused),
        (product == Some(RowOutcome::Created), &mut tally.products_created),
        (product == Some(RowOutcome::Updated), &mut tally.products_updated),
        (variant == Some(RowOutcome::Created), &mut tally.variants_created),
        (variant == Some(RowOutcome::Updated), &mut tally.variants_updated),
    ] {
        if counted {
            *count = count.next()?;
        }
    }
    Ok(())
}
