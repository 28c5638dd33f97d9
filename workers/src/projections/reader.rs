//! Reads the facts that follow a position, in order and without gaps, even if the bus loses some.

use std::{cmp::Ordering, sync::Arc};

use domain::platform::{
    Db,
    outbox::{self, Stamped},
    projections::FactBatch,
};
use sea_orm::DbErr;
use tokio::sync::broadcast::{
    Receiver,
    error::{RecvError, TryRecvError},
};

use crate::{bus::Bus, pulse::LOOK_AGAIN};

/// The maximum number of facts in a batch: as many as the relay stamps in one transaction.
const BATCH_MAX: usize = 500;

/// Reads facts for one projection.
pub(super) struct FactReader {
    db: Db,
    heard: Receiver<Arc<Stamped>>,
    /// Whether to read the table before the bus: facts may have been missed.
    look: bool,
}

/// The result of reading after a position.
pub(super) enum NextFacts {
    /// The facts that follow.
    Batch(FactBatch),
    /// The next fact is no longer kept.
    Swept,
    /// The newest fact of the database is before the position. The database was restored from a backup, or is
    /// another one.
    Ahead,
}

impl FactReader {
    /// Creates a reader that receives broadcasts from now on, and reads the table first.
    pub(super) fn new(db: &Db, bus: &dyn Bus) -> Self {
        Self { db: db.clone(), heard: bus.facts(), look: true }
    }

    /// Makes the next read start with the table.
    pub(super) fn read_table_next(&mut self) {
        self.look = true;
    }

    /// Waits until there are facts after a position, and returns them. The future may be dropped while it
    /// waits; no fact is lost.
    pub(super) async fn next(&mut self, position: i64) -> Result<NextFacts, DbErr> {
        loop {
            if self.look
                && let Some(found) = self.read_table(position).await?
            {
                return Ok(found);
            }
            match tokio::time::timeout(LOOK_AGAIN, self.heard.recv()).await {
                Ok(Ok(stamped)) if stamped.position <= position => {}
                Ok(Ok(stamped)) if stamped.position == position.saturating_add(1) => {
                    return Ok(NextFacts::Batch(self.gather(stamped)));
                }
                Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => self.look = true,
                Ok(Err(RecvError::Closed)) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    self.look = true;
                }
            }
        }
    }

    /// Collects a fact that was just received and those already queued behind it into a batch, without
    /// waiting.
    fn gather(&mut self, first: Arc<Stamped>) -> FactBatch {
        let mut batch = FactBatch { position: first.position, facts: vec![first] };
        while batch.facts.len() < BATCH_MAX {
            match self.heard.try_recv() {
                Ok(stamped) if stamped.position <= batch.position => {}
                Ok(stamped) if stamped.position == batch.position.saturating_add(1) => {
                    batch.position = stamped.position;
                    batch.facts.push(stamped);
                }
                Ok(_) | Err(TryRecvError::Lagged(_)) => {
                    self.look = true;
                    break;
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        batch
    }

    /// Reads what the table has after a position. Returns `None` if that position is the newest.
    async fn read_table(&mut self, position: i64) -> Result<Option<NextFacts>, DbErr> {
        // The newest position is read first, so that every position up to it must be in the table.
        let newest = outbox::position_last(&self.db).await?;
        match newest.cmp(&position) {
            Ordering::Less => return Ok(Some(NextFacts::Ahead)),
            Ordering::Equal => {
                self.look = false;
                return Ok(None);
            }
            Ordering::Greater => {}
        }
        let limit = u64::try_from(BATCH_MAX).unwrap_or(u64::MAX);
        let mut batch = FactBatch { facts: Vec::new(), position };
        for (next, stamped) in outbox::read_after(&self.db, position, limit).await? {
            // Rows are deleted by age, so a row may be gone while an earlier one is still there.
            if next != batch.position.saturating_add(1) {
                break;
            }
            batch.position = next;
            batch.facts.extend(stamped.map(Arc::new));
        }
        if batch.position == position {
            return Ok(Some(NextFacts::Swept));
        }
        self.look = batch.position < newest;
        Ok(Some(NextFacts::Batch(batch)))
    }
}
