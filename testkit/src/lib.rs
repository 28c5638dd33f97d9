//! What tests stand on: a fresh database on SQLite and on PostgreSQL, a clock and a source of ids that
//! the test controls, and readers of what an operation left behind.
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
//! [`store`] makes and removes databases; [`broker`] does so with virtual hosts of a RabbitMQ; [`entropy`] is
//! randomness that repeats; [`effects`] reads facts, tasks, letters, audit rows and the whole state;
//! [`requests`] are made up as far as a test does not care; [`numbered`] is a task whose end a test decides.
//! [`store`] makes and removes databases; [`broker`] does so with virtual hosts of a RabbitMQ; [`entropy`] is
//! randomness that repeats; [`effects`] reads facts, tasks, letters, audit rows and the whole state;
//! [`requests`] are made up as far as a test does not care; [`market`] makes creators, drops and buyers of
//! them; [`gateway`] is one at which nobody answers.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that has no database has nothing else to say")]

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
    State, audit_actions, facts, letter, letters, link_in, task, tasks, tasks_of, write_letter,
};
pub use entropy::CountingEntropy;
pub use numbered::{Listener, Numbered};
pub use projection::{ProjectionFault, Recorded, RecordingProjection};
pub use store::TestDb;

/// Connections of a test's pool: more than any one operation needs, few enough for many tests at a time.
const POOL_MAX: u32 = 10;

/// Everything a test needs. The database goes when the last part of it is dropped.
pub struct Kit {
    /// A migrated database without rows.
    pub db: Db,
    /// The clock of `db`: it stands at [`Kit::start`] until it is told to move.
    pub clock: Arc<ManualClock>,
    /// The entropy of `db`.
    pub entropy: Arc<CountingEntropy>,
    /// Where the database is.
    pub store: TestDb,
}

impl Kit {
    /// The instant at which every test begins: a Monday at ten.
    pub fn start() -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, 2, 10, 0, 0).single().expect("an instant of the calendar")
    }

    /// A kit on a database.
    pub async fn on(store: TestDb) -> Self {
        let clock = Arc::new(ManualClock::new(Self::start()));
        let entropy = Arc::new(CountingEntropy::default());
        let ports = (Arc::clone(&clock), Arc::clone(&entropy));
        let db = domain::platform::connect(store.url(), POOL_MAX, ports.0, ports.1).await;
        Self { db: db.expect("a new database can be opened"), clock, entropy, store }
    }

    /// A kit on SQLite.
    pub async fn sqlite() -> Self {
        Self::on(TestDb::sqlite().await).await
    }

    /// A kit on PostgreSQL.
    pub async fn postgres() -> Self {
        Self::on(TestDb::postgres().await).await
    }

    /// The same database as another process would open it, at the same time and with that many connections.
    pub async fn connect(&self, pool_max: u32) -> Db {
        let db =
            domain::platform::connect(self.store.url(), pool_max, self.clock.clone(), self.entropy.clone())
                .await;
        db.expect("the database can be opened again")
    }

    /// All rows of all tables but the budgets, which a refusal is meant to spend: what a refused call leaves
    /// as it was.
    pub async fn state(&self) -> State {
        State::read(&self.db).await
    }
}

/// Runs a test's body to its end, with room for real concurrency.
pub fn run<K, F>(make: K, body: impl FnOnce(Kit) -> F)
where
    K: Future<Output = Kit>,
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .expect("threads can be started");
    // Test servers spawn on the thread that they were made on.
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { body(make.await).await });
}

/// Makes two tests of each body, `sqlite::name` and `postgres::name`. Takes functions, or the names of
/// functions: `on_both! { async fn name(kit: Kit) { … } }` or `on_both! { name, other_name }`; once in a
/// module.
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
