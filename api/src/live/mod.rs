//! Live updates: leads the facts of the whole deployment to the subscriptions of this process.
//!
//! [`Live`] is a [`Projection`]: it receives every fact as soon as it is broadcast, and wakes the listeners
//! of the [`topics`] that the fact concerns. [`stock`] reads the stock of a drop once for all its watchers,
//! and [`held`] adds up the held units of drops. The edge runs the subscriptions and their connections
//! (`edge::live`).

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

/// The shortest time between two states of the same thing: at most ten states a second.
pub(crate) const PACE: Duration = Duration::from_millis(100);

/// The delay before a failed read is repeated.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The clock of a demo can be set forward, so no task sleeps longer than this without checking it again.
const CLOCK_LOOK: Duration = Duration::from_secs(1);

/// The live updates of this process. Clones share the same state.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    db: Db,
    topics: Arc<Topics>,
    stock: Arc<StockFeeds>,
    stock_cache: StockCache,
    held: HeldUnits,
    /// The position of the last fact that the topics have received.
    position: Mutex<Option<i64>>,
    /// The runtime for reads: not the threads that serve connections.
    runtime: Handle,
    stop: CancellationToken,
}

impl Live {
    /// Starts live updates on the current runtime.
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

    /// Ends all subscriptions: sockets are closed as going away, and streams of events end.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Returns the held units of the items of drops, as of now.
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

    /// The state is in memory, so a new process starts at the newest fact.
    async fn position(&self) -> Result<Option<i64>, ProjectionError> {
        Ok(*locked(&self.0.position))
    }

    async fn apply(&self, batch: &FactBatch) -> Result<(), ProjectionError> {
        for stamped in &batch.facts {
            self.0.topics.notify(&stamped.fact);
        }
        *locked(&self.0.position) = Some(batch.position);
        Ok(())
    }

    /// Wakes all listeners, because anything read from earlier facts may be outdated.
    async fn rebuild(&self, position: i64) -> Result<(), ProjectionError> {
        self.0.topics.wake_all();
        *locked(&self.0.position) = Some(position);
        Ok(())
    }
}

/// Waits until the deployment's clock reaches an instant, or for ever if there is none.
pub(crate) async fn until_instant(db: &Db, at: Option<DateTime<Utc>>) {
    let Some(at) = at else { return std::future::pending().await };
    while let Ok(left) = at.signed_duration_since(db.now()).to_std()
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(CLOCK_LOOK)).await;
    }
}

/// Locks a mutex even if it is poisoned: the data behind it is consistent between any two statements.
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
    async fn a_rebuild_wakes_all_listeners_and_a_batch_those_it_concerns() {
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
