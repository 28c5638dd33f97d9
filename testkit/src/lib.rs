//! The test kit: a fresh database on SQLite and on PostgreSQL, a clock and a source of ids that the
//! test controls, and functions that read the effects of an operation.
//!
//! ```
//! use testkit::{Kit, on_both};
//!
//! on_both! {
//!     async fn a_clock_stands_still(kit: Kit) {
//!         assert_eq!(kit.db.now(), kit.db.now());
//!     }
//! }
//! ```
//!
//! - [`store`]: creates and removes databases.
//! - [`broker`]: creates and removes virtual hosts of a RabbitMQ broker.
//! - [`entropy`]: repeatable randomness.
//! - [`effects`]: reads facts, tasks, letters, audit rows and the whole state.
//! - [`requests`]: requests with default values.
//! - [`market`]: creators, drops and buyers, made by the operations of `domain`.
//! - [`gateway`]: an unreachable payment gateway.
//! - [`numbered`]: a task whose result the test decides.
//! - [`projection`]: a projection that records its input and fails on demand.

#![expect(clippy::expect_used, clippy::panic, reason = "a test cannot continue without its database")]

pub mod broker;
pub mod effects;
pub mod entropy;
pub mod gateway;
pub mod market;
pub mod numbered;
pub mod projection;
pub mod requests;
pub mod store;

use std::{future::Future, sync::Arc};

use chrono::{DateTime, TimeZone, Utc};
use domain::platform::{Db, clock::ManualClock};

pub use broker::TestBroker;
pub use effects::{
    DatabaseState, audit_actions, facts, letter, letters, link_in, task, tasks, tasks_of, write_letter,
};
pub use entropy::CountingEntropy;
pub use numbered::{Listener, Numbered};
pub use projection::{ProjectionFault, Recorded, RecordingProjection};
pub use store::TestDb;

/// The size of a test's connection pool: more connections than any single operation needs, but few enough
/// that many tests can run at a time.
const POOL_MAX: u32 = 10;

/// The environment of a test. The database is removed when `store` is dropped.
pub struct Kit {
    /// A migrated, empty database.
    pub db: Db,
    /// The clock of `db`. It stands at [`Kit::start`] until the test advances it.
    pub clock: Arc<ManualClock>,
    /// The source of entropy of `db`.
    pub entropy: Arc<CountingEntropy>,
    /// The database behind `db`.
    pub store: TestDb,
}

impl Kit {
    /// Returns the time at which every test begins: Monday, 2 March 2026, 10:00 UTC.
    pub fn start() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).single().expect("a valid date")
    }

    /// Opens a kit on a database.
    pub async fn on(store: TestDb) -> Self {
        let clock = Arc::new(ManualClock::new(Self::start()));
        let entropy = Arc::new(CountingEntropy::default());
        let ports = (Arc::clone(&clock), Arc::clone(&entropy));
        let db = domain::platform::connect(store.url(), POOL_MAX, ports.0, ports.1).await;
        Self { db: db.expect("a new database can be opened"), clock, entropy, store }
    }

    /// Creates a kit on SQLite.
    pub async fn sqlite() -> Self {
        Self::on(TestDb::sqlite().await).await
    }

    /// Creates a kit on PostgreSQL.
    pub async fn postgres() -> Self {
        Self::on(TestDb::postgres().await).await
    }

    /// Opens the same database as another process would: with the same clock, and a pool of `pool_max`
    /// connections.
    pub async fn connect(&self, pool_max: u32) -> Db {
        let db =
            domain::platform::connect(self.store.url(), pool_max, self.clock.clone(), self.entropy.clone())
                .await;
        db.expect("the database can be opened again")
    }

    /// Reads all rows of all tables except the rate limits' budgets. A refused request must leave this state
    /// unchanged; only the budgets change, because it counts towards the rate limits too.
    pub async fn state(&self) -> DatabaseState {
        DatabaseState::read(&self.db).await
    }
}

/// Runs the body of a test, with the kit that it needs, on a runtime with four worker threads.
pub fn run<K, F>(kit: K, body: impl FnOnce(Kit) -> F)
where
    K: Future<Output = Kit>,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("threads can be started");
    // Test servers spawn local tasks, which stay on this thread.
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { body(kit.await).await });
}

/// Generates two tests from each function: `sqlite::name` and `postgres::name`. Use it at most once in a
/// module, because it generates the modules `sqlite` and `postgres`.
///
/// It takes functions, as in `on_both! { async fn name(kit: Kit) { … } }`, or the names of functions, as in
/// `on_both! { name, other_name }`.
#[macro_export]
macro_rules! on_both {
    ($($(#[$about:meta])* async fn $name:ident($kit:ident : $kind:ty $(,)?) $body:block)+) => {
        $($(#[$about])* async fn $name($kit: $kind) $body)+
        $crate::on_both! { $($name),+ }
    };
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                $crate::run($crate::Kit::sqlite(), super::$name);
            })+
        }
        mod postgres {
            $(#[test]
            fn $name() {
                $crate::run($crate::Kit::postgres(), super::$name);
            })+
        }
    };
}
