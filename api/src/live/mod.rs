//! What is watched as it changes: from the facts of the whole deployment to the subscriptions of this process.
//!
//! One follower of facts a process tells [`Live`] (it is a [`FactListener`]), which wakes whoever listens to the [`topics`] that a
//! fact is about. [`stock`] reads the stock of a drop once for all who watch it; [`runs`] runs one subscription once for all who asked
//! the same; [`passes`] notices tokens that are revoked; [`places`] counts connections.
//!
//! Architecture invariant: nobody has a queue of values. Each of these hands on its latest state, and whoever is slow finds the
//! newest when it comes: between two states any number may be left out, the last one never.

pub(crate) mod held;
pub(crate) mod passes;
pub(crate) mod places;
pub(crate) mod runs;
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
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use self::{
    held::{HeldItems, HeldUnits},
    passes::Passes,
    places::Places,
    stock::{StockCache, StockFeeds},
    topics::Topics,
};

/// Between two states of one thing lies at least this: at most ten a second.
pub(crate) const PACE: Duration = Duration::from_millis(100);

/// A database that failed is asked again after this time.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// States that are read at the same time, by all subscriptions together: half of the usual number of connections to the database, so
/// that ordinary requests go on while everything that is watched is looked at anew.
const READS_AT_ONCE: usize = 8;

/// The clock of a demo can be set forward, so nobody sleeps longer than this before looking at it again.
const CLOCK_LOOK: Duration = Duration::from_secs(1);

/// Bounds on connections that stay open.
#[derive(Debug, Clone, Copy)]
pub struct LiveBounds {
    /// The most of them, WebSockets and streams of events together.
    pub connections_max: usize,
    /// The most from one address.
    pub connections_per_address_max: usize,
    /// The most operations at once on one WebSocket.
    pub operations_max: usize,
    /// The longest message from a client, in bytes.
    pub message_bytes_max: usize,
    /// A client that has not said `connection_init` by then is closed.
    pub init_within: Duration,
    /// So often something is sent to a silent client, to see whether it is still there.
    pub keep_alive_every: Duration,
}

impl Default for LiveBounds {
    /// What the settings are without being set.
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 100,
            operations_max: 50,
            message_bytes_max: 102_400,
            init_within: Duration::from_secs(10),
            keep_alive_every: Duration::from_secs(20),
        }
    }
}

/// What is watched in this process. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    db: Db,
    bounds: LiveBounds,
    topics: Arc<Topics>,
    stock: Arc<StockFeeds>,
    stock_cache: StockCache,
    held: HeldUnits,
    passes: Arc<Passes>,
    places: Arc<Places>,
    reads: Arc<Semaphore>,
    /// Where reading is done: not on the threads that serve connections.
    runtime: Handle,
    stop: CancellationToken,
}

impl Live {
    /// Begins on the present runtime.
    pub fn start(db: &Db, bounds: LiveBounds) -> Self {
        let (runtime, stop) = (Handle::current(), CancellationToken::new());
        let passes = Arc::new(Passes::new(db));
        runtime.spawn(Arc::clone(&passes).check(stop.clone()));
        Self(Arc::new(Inner {
            db: db.clone(),
            bounds,
            topics: Arc::default(),
            stock: Arc::default(),
            stock_cache: StockCache::default(),
            held: HeldUnits::default(),
            passes,
            places: Arc::new(Places::new(bounds)),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            runtime,
            stop,
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

    pub(crate) fn bounds(&self) -> LiveBounds {
        self.0.bounds
    }

    pub(crate) fn topics(&self) -> &Arc<Topics> {
        &self.0.topics
    }

    pub(crate) fn passes(&self) -> &Arc<Passes> {
        &self.0.passes
    }

    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.0.places
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
