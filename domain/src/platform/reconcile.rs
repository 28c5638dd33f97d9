//! Reconciling: what the reconcilers of all capabilities share.
//!
//! Whatever is to be done has a task, written in the transaction that makes it necessary; a reconciler finds
//! the rows that have none all the same, because a defect, a restored backup or a hand in the database lost
//! it, and queues it. It decides nothing: the task's operation looks again under its own locks.

use sea_orm::{DbErr, EntityTrait, FromQueryResult, QuerySelect, Select, entity::prelude::*};

use super::{
    db::{Db, Tx, in_tx},
    tasks::{self, NewTask},
};
use crate::platform::access::SystemScope;

/// What one reconciler repairs in one round, at most; the rest waits for the next.
pub const REPAIRS_MAX: usize = 200;
/// Candidates are read so many at a time …
const PAGE: u64 = 200;
/// … and this often in one round, so that one which finds thousands that all have their task still ends soon.
const PAGES_MAX: u64 = 25;

/// Rows that ought to have a task, and what it would be.
pub(crate) struct Missed<'a, E: EntityTrait, S> {
    /// What was missed, in the words of the metrics.
    pub(crate) what: &'static str,
    /// Whether that is a defect, which an operator is warned of.
    pub(crate) warns: bool,
    /// The rows, in the order in which they are looked at.
    pub(crate) candidates: Select<E>,
    /// The kinds of tasks that a row is fine with.
    pub(crate) kinds: &'a [&'static str],
    /// What these tasks are about, of a row.
    pub(crate) subject: S,
}

impl<E, S> Missed<'_, E, S>
where
    E: EntityTrait,
    E::Model: FromQueryResult + Send + Sync,
    S: Fn(&E::Model) -> String,
{
    /// Queues the task of each row that has none; answers how many. A healthy database costs the statements
    /// of one look, and no transaction. Several processes may do this at once: what one has queued, the
    /// others find.
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

    /// Does `work` for the rows that have no task, in one transaction; answers how many it says it repaired.
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
            // Another process may have been quicker.
            let missed = self.find(tx.conn()).await?;
            for row in missed.iter().filter(|_| self.warns) {
                tracing::warn!(
                    what = self.what,
                    subject = (self.subject)(row),
                    "something was missed; it is repaired"
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
