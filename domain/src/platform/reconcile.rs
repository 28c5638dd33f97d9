//! Reconciliation: the common part of the reconcilers of all capabilities.
//!
//! Work to be done has a task, queued in the transaction that makes the work necessary. A reconciler finds
//! rows whose task is missing, because it was lost through a defect, a restored backup or a manual change in
//! the database, and queues it. The reconciler decides nothing itself: the operation of the task checks again
//! under its own locks.

use sea_orm::{DbErr, EntityTrait, FromQueryResult, QuerySelect, Select, entity::prelude::*};

use super::{
    db::{Db, Tx, in_tx},
    tasks::{self, NewTask},
};
use crate::platform::access::SystemScope;

/// The maximum number of rows that one reconciler repairs in a round; the rest waits for the next round.
pub const REPAIRS_MAX: usize = 200;
/// The number of candidates read at once.
const PAGE: u64 = 200;
/// The maximum number of reads in a round, so that the round ends soon even when thousands of candidates all
/// have their task.
const PAGES_MAX: u64 = 25;

/// Rows that should have a task.
pub(crate) struct Missed<'a, E: EntityTrait, S> {
    /// What was missed, as the label in metrics.
    pub(crate) what: &'static str,
    /// Whether a missing task indicates a defect and is logged as a warning.
    pub(crate) warns: bool,
    /// The rows to check, in order.
    pub(crate) candidates: Select<E>,
    /// The kinds of tasks of which one is enough.
    pub(crate) kinds: &'a [&'static str],
    /// Returns the subject of these tasks for a row.
    pub(crate) subject: S,
}

impl<E, S> Missed<'_, E, S>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Send + Sync,
    S: Fn(&E::Model) -> String,
{
    /// Queues the task of each row that has none, and returns their number. If nothing is missing, only the
    /// statements of one search run, and no transaction. Several processes may do this at once: each finds
    /// the tasks that another has queued.
    pub(crate) async fn queue(
        &self,
        db: &Db,
        scope: &SystemScope,
        task: impl Fn(&E::Model) -> NewTask,
    ) -> Result<u64, DbErr> {
        self.repair(db, scope, async |tx, missed| {
            tasks::enqueue_missing(tx, missed.iter().map(&task).collect()).await
        })
        .await
    }

    /// Runs `work` for the rows that have no task, in one transaction, and returns the number of repairs that
    /// it reports.
    pub(crate) async fn repair(
        &self,
        db: &Db,
        scope: &SystemScope,
        work: impl AsyncFnOnce(&Tx, &[E::Model]) -> Result<u64, DbErr>,
    ) -> Result<u64, DbErr> {
        if self.find(db.reader()).await?.is_empty() {
            return Ok(0);
        }
        in_tx(db, scope.actor(), async |tx| {
            // Another process may have repaired the rows meanwhile.
            let missed = self.find(tx.conn()).await?;
            for row in missed.iter().filter(|_| self.warns) {
                tracing::warn!(
                    what = self.what,
                    subject = (self.subject)(row),
                    "missed work found; repairing it"
                );
            }
            work(tx, &missed).await
        })
        .await
    }

    async fn find(&self, conn: &impl ConnectionTrait) -> Result<Vec<E::Model>, DbErr> {
        let mut missed = Vec::new();
        for page in 0..PAGES_MAX {
            let rows =
                self.candidates.clone().limit(PAGE).offset(page.saturating_mul(PAGE)).all(conn).await?;
            let full = u64::try_from(rows.len()).is_ok_and(|count| count == PAGE);
            let subjects: Vec<String> = rows.iter().map(&self.subject).collect();
            let known = tasks::known(conn, self.kinds, &subjects).await?;
            missed.extend(
                rows.into_iter()
                    .zip(subjects)
                    .filter(|(_, subject)| !known.contains(subject))
                    .map(|(row, _)| row),
            );
            if !full || missed.len() >= REPAIRS_MAX {
                break;
            }
        }
        missed.truncate(REPAIRS_MAX);
        Ok(missed)
    }
}
