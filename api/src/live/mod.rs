//! What is watched as it changes: from the facts of the whole deployment to the subscriptions of this
//! process.
//!
//! [`Live`] is a [`Projection`], so it hears of every fact as soon as it is broadcast, and wakes whoever
//! listens to the [`topics`] that the fact is about. [`stock`] reads the stock of a drop once for all who
//! watch it; [`held`] adds up what is held of drops. The subscriptions themselves and their connections are
//! the edge's (`edge::live`).

pub(crate) mod held;
pub(crate) mod stock;
pub(crate) mod topics;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::platform::{
    Db,
    ids::DropId,
    projections::{FactBatch, Projection, ProjectionError},
};
use sea_orm::DbErr;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::{
    held::{HeldItems, HeldUnits},
    stock::{StockCache, StockFeeds},
    topics::Topics,
};

/// Between two states of one thing lies at least this: at most ten a second.
pub(crate) const PACE: Duration = Duration::from_millis(100);

/// A database that failed is asked again after this time.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The clock of a demo can be set forward, so nobody sleeps longer than this before looking at it again.
const CLOCK_LOOK: Duration = Duration::from_secs(1);

/// What is watched in this process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    db: Db,
    topics: Arc<Topics>,
    stock: Arc<StockFeeds>,
    stock_cache: StockCache,
    held: HeldUnits,
    /// Of the facts that the topics have been told of.
    position: Mutex<Option<i64>>,
    /// Where reading is done: not on the threads that serve connections.
    runtime: Handle,
    stop: CancellationToken,
}

impl Live {
    /// Begins on the present runtime.
    pub fn start(db: &Db) -> Self {
        Self(Arc::new(Inner {
            db: db.clone(),
            topics: Arc::default(),
            stock: Arc::default(),
            stock_cache: StockCache::default(),
            held: HeldUnits::default(),
            position: Mutex::default(),
            runtime: Handle::current(),
            stop: CancellationToken::new(),
        }))
    }

    /// Ends all that is watched: sockets are closed as going away, streams of events end.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Held units of the items of drops, as of now.
    pub(crate) async fn held(&self, drops: &[DropId]) -> Result<HashMap<DropId, HeldItems>, DbErr> {
        self.0.held.of(&self.0.db, drops).await
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn topics(&self) -> &Arc<Topics> {
        &self.0.topics
    }

    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stop
    }
}

#[async_trait]
impl Projection for Live {
    fn name(&self) -> &'static str {
        "live"
    }

    /// It lives in memory: a process begins with the newest fact.
    async fn position(&self) -> Result<Option<i64>, ProjectionError> {
        Ok(*locked(&self.0.position))
    }

    async fn apply(&self, batch: &FactBatch) -> Result<(), ProjectionError> {
        for stamped in &batch.facts {
            self.0.topics.heard(&stamped.fact);
        }
        *locked(&self.0.position) = Some(batch.position);
        Ok(())
    }

    /// Whatever was made of earlier facts is looked at anew.
    async fn rebuild(&self, position: i64) -> Result<(), ProjectionError> {
        self.0.topics.wake_all();
        *locked(&self.0.position) = Some(position);
        Ok(())
    }
}

/// Waits until the deployment's clock has come to an instant; for ever if there is none.
pub(crate) async fn until_instant(db: &Db, at: Option<DateTime<Utc>>) {
    let Some(at) = at else { return std::future::pending().await };
    while let Ok(left) = at.signed_duration_since(db.now()).to_std()
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(CLOCK_LOOK)).await;
    }
}

/// A lock that a panic elsewhere does not close: what it guards is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use domain::platform::{
        facts::Fact,
        ids::{CreatorId, FactId},
        outbox::Stamped,
    };
    use testkit::Kit;
    use uuid::Uuid;

    use super::{topics::Topic, *};

    #[tokio::test]
    async fn a_rebuild_wakes_all_and_a_batch_those_whom_it_concerns() {
        let kit = Kit::sqlite().await;
        let live = Live::start(&kit.db);
        let (drop, other) = (DropId(Uuid::from_u128(1)), DropId(Uuid::from_u128(2)));
        let (mut of_drop, mut of_other) =
            (live.topics().listen(Topic::Stock(drop)), live.topics().listen(Topic::Stock(other)));
        assert_eq!(live.position().await.unwrap(), None);
        live.rebuild(7).await.unwrap();
        assert_eq!(live.position().await.unwrap(), Some(7));
        of_drop.changed().await;
        of_other.changed().await;
        let fact = Fact::StockChanged { creator: CreatorId(Uuid::from_u128(3)), drop };
        let stamped = Stamped { id: FactId(Uuid::from_u128(4)), position: 8, version: 1, fact, trace: None };
        live.apply(&FactBatch { facts: vec![Arc::new(stamped)], position: 9 }).await.unwrap();
        assert_eq!(live.position().await.unwrap(), Some(9));
        of_drop.changed().await;
        let none_for_other = tokio::time::timeout(Duration::ZERO, of_other.changed()).await;
        assert!(none_for_other.is_err());
    }
}
