//! The reconciler of imports: finds unfinished imports that have no task.

use sea_orm::{DbErr, QueryOrder};

use super::{ImportProducts, ProductImport, import_row};
use crate::platform::{
    Db, EntityId,
    access::SystemScope,
    reconcile::Missed,
    tasks::{NewTask, Task},
};

/// Queues a task for each unfinished import that has none. Returns the number of tasks.
pub async fn run_forgotten(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let missed = Missed {
        what: "import_unfinished",
        warns: true,
        candidates: import_row::open().order_by_asc(import_row::Column::CreatedAt),
        kinds: &[ImportProducts::KIND],
        subject: |row: &ProductImport| row.id.public(),
    };
    let task = |row: &ProductImport| NewTask::from(ImportProducts { import: row.id }).unique();
    missed.queue(db, scope, task).await
}
