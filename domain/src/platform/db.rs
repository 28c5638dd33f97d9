//! The database, and the one way to write to it: [`in_tx`].

use std::{
    ops::AsyncFnOnce,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use tokio::sync::watch;

use super::{
    clock::Clock,
    entropy::Entropy,
    ids::{AccountId, EntityId, GuestId, TokenId},
};

/// The database with the ports that every operation needs: time and randomness. Cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    commits: watch::Sender<u64>,
    statements: Arc<AtomicU64>,
}

impl Db {
    /// Joins the connections and the ports. On PostgreSQL `writer` and `readers` are one pool; on
    /// SQLite the writer is a single connection, so that writers queue in order instead of failing.
    pub fn new(
        mut writer: DatabaseConnection,
        mut readers: DatabaseConnection,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let commits = watch::Sender::new(0);
        let statements = Arc::new(AtomicU64::new(0));
        for connection in [&mut writer, &mut readers] {
            let statements = Arc::clone(&statements);
            connection.set_metric_callback(move |run| {
                statements.fetch_add(1, Ordering::Relaxed);
                metrics::histogram!("smallrun_db_statement_seconds").record(run.elapsed);
            });
        }
        Self(Arc::new(Inner { writer, readers, clock, entropy, commits, statements }))
    }

    /// The same database at another time: the demo marketplace is loaded as if days had passed.
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        let (writer, readers) = (self.0.writer.clone(), self.0.readers.clone());
        let (entropy, statements) = (Arc::clone(&self.0.entropy), Arc::clone(&self.0.statements));
        Self(Arc::new(Inner { writer, readers, clock, entropy, commits: self.0.commits.clone(), statements }))
    }

    /// The connection for reads outside a transaction.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.0.readers
    }

    /// The connection that may change the schema: for migrations, which run before anything else does.
    pub fn schema_connection(&self) -> &DatabaseConnection {
        &self.0.writer
    }

    /// How many statements were run so far, `BEGIN` and `COMMIT` aside.
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// The time of this process.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Looks how far the clock of this deployment is set forward; if that has changed, wakes whoever waits for work.
    pub async fn refresh_clock(&self) -> Result<(), DbErr> {
        if self.0.clock.refresh(&self.0.readers).await? {
            self.wake();
        }
        Ok(())
    }

    /// Whether this is a demo, whose clock can be set forward: see [`mod@super::demo_clock`].
    pub fn is_demo(&self) -> bool {
        self.0.clock.can_be_set_forward()
    }

    /// The source of secrets.
    pub fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }

    /// A new identifier.
    pub fn new_id<I: EntityId>(&self) -> I {
        I::from_uuid(self.0.entropy.uuid(self.now()))
    }

    /// Which of the two databases this is.
    pub fn backend(&self) -> DbBackend {
        sea_orm::ConnectionTrait::get_database_backend(&self.0.readers)
    }

    /// Changes whenever a transaction of this process left work behind (facts, tasks, timers):
    /// what the relay and the workers wait on.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.0.commits.subscribe()
    }

    /// Wakes whoever waits on [`Db::commits`].
    pub fn wake(&self) {
        self.0.commits.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Who does a write, as the audit log keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Nobody known.
    Public,
    /// A signed-in person.
    Account(AccountId),
    /// A guest with a confirmed e-mail.
    Guest(GuestId),
    /// An API token.
    Token(TokenId),
    /// The system itself; the reason is a constant such as `hold-lapse`.
    System(&'static str),
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Account(id) => id.fmt(f),
            Self::Guest(id) => id.fmt(f),
            Self::Token(id) => id.fmt(f),
            Self::System(reason) => write!(f, "system:{reason}"),
        }
    }
}

/// An open transaction. A function that takes one does no network I/O.
pub struct Tx {
    inner: DatabaseTransaction,
    db: Db,
    actor: Actor,
    now: DateTime<Utc>,
    left_work: AtomicBool,
}

impl Tx {
    /// The connection to run statements on.
    pub fn conn(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Who writes.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// The time of this process when the transaction began: for timestamps, not for decisions.
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// The time that decides; read it after the lock is granted.
    pub async fn decision_now(&self) -> Result<DateTime<Utc>, DbErr> {
        self.db.0.clock.decision_now(&self.inner).await
    }

    /// A new identifier.
    pub fn new_id<I: EntityId>(&self) -> I {
        I::from_uuid(self.db.0.entropy.uuid(self.now))
    }

    /// The source of secrets.
    pub fn entropy(&self) -> &dyn Entropy {
        self.db.entropy()
    }

    /// Notes that this transaction leaves something to do, so that workers wake after the commit.
    pub(crate) fn leaves_work(&self) {
        self.left_work.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` in one transaction: committed when it answers `Ok`, rolled back otherwise.
///
/// On SQLite the transaction is `IMMEDIATE`: it takes the writer's lock with its first statement,
/// because one that reads first and writes later fails under contention.
pub async fn in_tx<T, E, F>(db: &Db, actor: Actor, work: F) -> Result<T, E>
where
    F: AsyncFnOnce(&Tx) -> Result<T, E>,
    E: From<DbErr>,
{
    let tx = begin(db, actor).await?;
    match work(&tx).await {
        Ok(done) => {
            let left_work = tx.left_work.load(Ordering::Relaxed);
            tx.inner.commit().await?;
            if left_work {
                db.wake();
            }
            Ok(done)
        }
        Err(refused) => {
            tx.inner.rollback().await?;
            Err(refused)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that begins a transaction")]
async fn begin(db: &Db, actor: Actor) -> Result<Tx, DbErr> {
    let options =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..TransactionOptions::default() };
    let inner = db.0.writer.begin_with_options(options).await?;
    Ok(Tx { inner, db: db.clone(), actor, now: db.now(), left_work: AtomicBool::new(false) })
}
