//! To go on with an import by another task.

use crate::platform::{
    Db, NeverRefused, OpError,
    access::SystemScope,
    ids::ImportId,
    in_tx,
    tasks::{self, NewTask, Task},
};

/// Queues the task that goes on with an import.
pub async fn run_import_later(db: &Db, system: &SystemScope, id: ImportId) -> Result<(), OpError<NeverRefused>> {
    let task = NewTask::from(Task::ImportProducts { import: id }).unique(id);
    in_tx(db, system.actor(), async |tx| Ok(tasks::enqueue(tx, task).await?)).await
}
