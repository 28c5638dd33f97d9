//! What is watched as it changes: from the facts of the whole deployment to the subscriptions of this process.
//!
//! One follower of facts a process tells [`Live`] (it is a [`FactListener`]), which wakes whoever listens to the [`topics`] that a
//! fact is about. [`stock`] reads the stock of a drop once for all who watch it; [`held`] adds up what is held of drops. The subscriptions
//! themselves and their connections are the edge's (`edge::live`).

pub(crate) mod held;
pub(crate) mod stock;
pub(crate) mod topics;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::platform::{
    Db,
    facts::{Fact, FactListener},
    ids::DropId,
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

impl FactListener for Live {
    fn heard(&self, fact: &Fact) {
        self.0.topics.heard(fact);
    }

    fn missed(&self) {
        self.0.topics.wake_all();
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
