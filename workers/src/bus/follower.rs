//! Reads facts in order and without a gap, whatever a bus has lost.

use std::{collections::VecDeque, sync::Arc};

use domain::platform::{
    Db,
    outbox::{self, Stamped},
};
use sea_orm::DbErr;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::Bus;
use crate::pulse::LOOK_AGAIN;

/// Facts read from the table at once.
const BATCH: u64 = 500;

/// A reader of facts with a place of its own in their sequence.
pub struct Follower {
    db: Db,
    live: Receiver<Arc<Stamped>>,
    position: i64,
    read: VecDeque<Arc<Stamped>>,
}

/// Why facts cannot be followed any further.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Facts after the follower's place have been swept: what was made of the earlier ones must be made anew.
    #[error("the facts after position {0} are no longer kept")]
    TooOld(i64),
    /// The database failed; the same call may go well later.
    #[error("the database failed")]
    Db(#[from] DbErr),
}

impl Follower {
    /// Follows what happens from now on.
    pub async fn from_now(db: &Db, bus: &dyn Bus) -> Result<Self, DbErr> {
        // Subscribed first: what is stamped between the two is heard twice, and told once.
        let live = bus.facts();
        let position = outbox::position_last(db).await?;
        Ok(Self { db: db.clone(), live, position, read: VecDeque::new() })
    }

    /// Follows what happened after a position that was reached before.
    pub fn after(db: &Db, bus: &dyn Bus, position: i64) -> Self {
        Self { db: db.clone(), live: bus.facts(), position, read: VecDeque::new() }
    }

    /// How far it has come.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The next fact, as soon as there is one. It may be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Result<Arc<Stamped>, FollowError> {
        loop {
            if let Some(stamped) = self.read.pop_front() {
                self.position = stamped.position;
                return Ok(stamped);
            }
            match tokio::time::timeout(LOOK_AGAIN, self.live.recv()).await {
                Ok(Ok(stamped)) if stamped.position <= self.position => {}
                Ok(Ok(stamped)) if stamped.position == self.position.saturating_add(1) => self.read.push_back(stamped),
                Ok(Ok(_) | Err(RecvError::Lagged(_))) => self.read_table().await?,
                Ok(Err(RecvError::Closed)) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    self.read_table().await?;
                }
                Err(_) if outbox::position_last(&self.db).await? > self.position => self.read_table().await?,
                Err(_) => {}
            }
        }
    }

    async fn read_table(&mut self) -> Result<(), FollowError> {
        let rows = outbox::read_after(&self.db, self.position, BATCH).await?;
        if rows.first().is_some_and(|(first, _)| *first > self.position.saturating_add(1)) {
            return Err(FollowError::TooOld(self.position));
        }
        for (position, stamped) in rows {
            match stamped {
                Some(stamped) => self.read.push_back(Arc::new(stamped)),
                // Of a newer version, in the middle of a deploy: nobody here knows what to make of it.
                None if self.read.is_empty() => self.position = position,
                None => break,
            }
        }
        Ok(())
    }
}
