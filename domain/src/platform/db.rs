//! The database: [`in_tx`] is the only way to write to it, and [`read_in`] the only way to read a tenant's
//! rows.
//!
//! On PostgreSQL, work that is done for a tenant (see [`By`]) runs within the *second wall*: its transaction
//! has the role [`TENANT_ROLE`], and row-level security lets that role read and write only the tenant's rows.
//! So a query without its `WHERE creator_id = …` finds no rows of other tenants. The wall protects against
//! our own mistakes, not against injected SQL: anybody who can send statements can also send `SET ROLE NONE`.
//! SQLite has no such wall.

use std::{
    ops::AsyncFnOnce,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, DbBackend,
    DbErr, EntityTrait, IntoActiveModel, RuntimeErr, SqliteTransactionMode, SqlxError, Statement,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::watch;

use super::{
    access::{Actor, By},
    bulk::PendingInserts,
    clock::Clock,
    entropy::Entropy,
    ids::{CreatorId, EntityId},
    tasks::{Due, Queue},
};

/// The role of a tenant's transactions on PostgreSQL. Roles belong to a server, not to one of its databases,
/// so all databases share this name, and it must never change.
pub const TENANT_ROLE: &str = "smallrun_tenant";

/// The database, with the ports that every operation needs: time and randomness. It is cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    clock: Arc<dyn Clock>,
    /// The clock given to [`Db::new`], which [`Db::with_clock`] does not replace.
    machine_clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    commits: watch::Sender<u64>,
    due: Arc<Due>,
    statements: Arc<AtomicU64>,
    /// How far the database's clock was ahead of this process's clock when it was last read.
    ahead_micros: Arc<AtomicI64>,
}

impl Db {
    /// Combines the connections and the ports. On PostgreSQL `writer` and `readers` are the same pool. On
    /// SQLite the writer is a single connection, so that writers wait in a queue instead of failing.
    pub fn new(
        mut writer: DatabaseConnection,
        mut readers: DatabaseConnection,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let commits = watch::Sender::new(0);
        let statements = Arc::new(AtomicU64::new(0));
        let ahead_micros = Arc::default();
        for connection in [&mut writer, &mut readers] {
            let statements = Arc::clone(&statements);
            connection.set_metric_callback(move |run| {
                statements.fetch_add(1, Ordering::Relaxed);
                metrics::histogram!("smallrun_db_statement_seconds").record(run.elapsed);
            });
        }
        let machine_clock = Arc::clone(&clock);
        Self(Arc::new(Inner {
            writer,
            readers,
            clock,
            machine_clock,
            entropy,
            commits,
            due: Arc::default(),
            statements,
            ahead_micros,
        }))
    }

    /// Returns the same database with another clock, to load the demo marketplace as if days had passed. The
    /// audit log still records the real time of each write.
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        let (writer, readers) = (self.0.writer.clone(), self.0.readers.clone());
        let (entropy, statements) = (Arc::clone(&self.0.entropy), Arc::clone(&self.0.statements));
        let (commits, due) = (self.0.commits.clone(), Arc::clone(&self.0.due));
        let (machine_clock, ahead_micros) =
            (Arc::clone(&self.0.machine_clock), Arc::clone(&self.0.ahead_micros));
        Self(Arc::new(Inner {
            writer,
            readers,
            clock,
            machine_clock,
            entropy,
            commits,
            due,
            statements,
            ahead_micros,
        }))
    }

    /// Returns the connection for reads outside a transaction. A tenant's rows are read with [`read_in`]
    /// instead.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.0.readers
    }

    /// Returns the connection that may change the schema. It is for migrations, which run before anything
    /// else.
    pub fn schema_connection(&self) -> &DatabaseConnection {
        &self.0.writer
    }

    /// Returns the number of statements run so far, without `BEGIN` and `COMMIT`.
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Returns the time of this process.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.clock.now()
    }

    /// Returns the arrival time of a request: the time of this process, corrected by how far the database's
    /// clock was ahead when it was last read. So buyers who wait for a drop to open are treated alike, even
    /// if the clocks of processes differ.
    pub fn arrival_now(&self) -> DateTime<Utc> {
        let ahead = TimeDelta::microseconds(self.0.ahead_micros.load(Ordering::Relaxed));
        self.now().checked_add_signed(ahead).unwrap_or_else(|| self.now())
    }

    /// Reads how far the clock of this deployment is set forward. If that has changed, wakes everything that
    /// waits for work.
    pub async fn refresh_clock(&self) -> Result<(), DbErr> {
        if self.0.clock.refresh(&self.0.readers).await? {
            self.wake();
        }
        Ok(())
    }

    /// Returns whether this is a demo, whose clock can be set forward; see [`mod@super::demo_clock`].
    pub fn is_demo(&self) -> bool {
        self.0.clock.can_be_set_forward()
    }

    /// Returns the source of randomness.
    pub fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }

    /// Returns a new identifier.
    pub fn new_id<I: EntityId>(&self) -> I {
        I::from_uuid(self.0.entropy.uuid(self.now()))
    }

    /// Returns whether this is SQLite or PostgreSQL.
    pub fn backend(&self) -> DbBackend {
        self.0.readers.get_database_backend()
    }

    /// Returns whether a tenant's transactions run within the second wall.
    fn has_wall(&self) -> bool {
        self.backend() == DbBackend::Postgres
    }

    /// Returns a channel that changes whenever a transaction of this process has left work behind (facts,
    /// tasks, timers). The relay and the workers wait on it.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.0.commits.subscribe()
    }

    /// Wakes everything that waits on [`Db::commits`].
    pub fn wake(&self) {
        self.0.commits.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns how many tasks this process has queued on each queue since the last call, counting only those
    /// that can run immediately. Queues without such tasks are left out. A bus announces the numbers to
    /// workers.
    pub fn take_due(&self) -> Vec<(Queue, u32)> {
        self.0.due.take()
    }
}

/// An open transaction. A function that takes one does no network I/O other than statements.
pub struct Tx {
    inner: DatabaseTransaction,
    /// The second wall around the transaction, if it belongs to a tenant.
    wall: Option<Wall>,
    db: Db,
    actor: Actor,
    now: DateTime<Utc>,
    left_work: AtomicBool,
    due: Due,
    kept: PendingInserts,
}

impl Tx {
    /// Returns the connection to run statements on.
    pub fn conn(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Returns the inserts that are collected to be run together.
    pub(super) fn pending_inserts(&self) -> &PendingInserts {
        &self.kept
    }

    /// Returns whether the transaction runs within the second wall.
    pub(super) fn has_wall(&self) -> bool {
        self.wall.is_some()
    }

    /// Returns the actor of the transaction.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Returns the time of this process when the transaction began. It is for timestamps; decisions are based
    /// on [`Tx::decision_now`].
    pub fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Returns the real time of the write, for the audit log; see [`Clock::machine_now`].
    pub(crate) fn recorded_at(&self) -> DateTime<Utc> {
        self.db.0.machine_clock.machine_now()
    }

    /// Reads the time that a decision is based on (see [`Clock::decision_now`]). Call it after the lock that
    /// the decision needs is granted.
    pub async fn decision_now(&self) -> Result<DateTime<Utc>, DbErr> {
        let before = self.db.now();
        let decided = self.db.0.clock.decision_now(&self.inner).await?;
        let after = self.db.now();
        // The database read its clock at some time between `before` and `after`. The middle is assumed, with
        // an error of at most half the difference.
        let ahead = decided.signed_duration_since(before).checked_add(&decided.signed_duration_since(after));
        let micros = ahead.and_then(|twice| twice.num_microseconds()).map_or(0, |twice| twice.div_euclid(2));
        self.db.0.ahead_micros.store(micros, Ordering::Relaxed);
        Ok(decided)
    }

    /// Makes PostgreSQL walk an index in its order for the rest of the transaction, instead of collecting
    /// rows and sorting them. It is for tables that serve as queues. They change faster than their
    /// statistics, so the planner takes them for nearly empty. And until a vacuum, a bitmap scan visits the
    /// index entries of the many rows that have left the queue.
    pub(crate) async fn walk_indexes(&self) -> Result<(), DbErr> {
        if self.db.backend() == DbBackend::Postgres {
            let sql = "SELECT set_config('enable_bitmapscan', 'off', true), \
                       set_config('enable_sort', 'off', true), \
                       set_config('enable_seqscan', 'off', true)";
            self.inner.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        }
        Ok(())
    }

    /// Returns a new identifier.
    pub fn new_id<I: EntityId>(&self) -> I {
        I::from_uuid(self.db.0.entropy.uuid(self.now))
    }

    /// Returns the source of randomness.
    pub fn entropy(&self) -> &dyn Entropy {
        self.db.entropy()
    }

    /// Runs `work` outside the second wall, in the same transaction. It is for changes to other tenants' rows
    /// that a rule of the marketplace requires. For example, a cancelled drop releases its buyers' whole
    /// checkouts, including lines of other creators. Review each call: the tenant must not be able to choose
    /// what the work changes. Functions that write the platform's own tables (tasks, timers, idempotency
    /// keys) call this themselves.
    ///
    /// It costs two statements if the transaction is within the wall, and none otherwise.
    pub(crate) async fn beyond_wall<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: From<DbErr>,
    {
        let Some(wall) = self.wall.as_ref().filter(|wall| !wall.is_outside.load(Ordering::Relaxed)) else {
            return work().await;
        };
        set_role(&self.inner, &wall.role_before).await?;
        wall.is_outside.store(true, Ordering::Relaxed);
        let done = work().await;
        wall.is_outside.store(false, Ordering::Relaxed);
        let back = set_role(&self.inner, TENANT_ROLE).await;
        // If a statement of `work` failed, the transaction accepts only a rollback, so setting the role fails
        // too. The error of `work` is the cause, so it is the one to return.
        let done = done?;
        back?;
        Ok(done)
    }

    /// Runs `work` within a savepoint: if it returns an error, its changes are rolled back, and the
    /// transaction continues.
    pub(crate) async fn in_savepoint<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: From<DbErr>,
    {
        self.inner.execute_unprepared("SAVEPOINT part").await?;
        let done = work().await;
        if done.is_err() {
            self.inner.execute_unprepared("ROLLBACK TO SAVEPOINT part").await?;
        }
        self.inner.execute_unprepared("RELEASE SAVEPOINT part").await?;
        done
    }

    /// Runs `work` within a savepoint and returns its result. Its changes are always rolled back, and the
    /// transaction continues.
    pub(crate) async fn rolled_back<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: AsyncFnOnce() -> Result<T, E>,
        E: From<DbErr>,
    {
        self.inner.execute_unprepared("SAVEPOINT rehearsal").await?;
        let done = work().await;
        self.inner.execute_unprepared("ROLLBACK TO SAVEPOINT rehearsal").await?;
        self.inner.execute_unprepared("RELEASE SAVEPOINT rehearsal").await?;
        done
    }

    /// Marks that this transaction leaves work behind, so that its commit wakes the relay and the workers.
    pub(crate) fn leaves_work(&self) {
        self.left_work.store(true, Ordering::Relaxed);
    }

    /// Marks that this transaction leaves a task that can run as soon as it is committed.
    pub(crate) fn leaves_task(&self, queue: Queue) {
        self.due.add(queue, 1);
        self.leaves_work();
    }
}

/// The state needed to leave the second wall within a transaction.
struct Wall {
    /// The role to restore outside the wall: `none`, unless the operator has set a role for the database's
    /// user.
    role_before: String,
    /// Whether the transaction is outside the wall at the moment.
    is_outside: AtomicBool,
}

/// Puts a transaction within the second wall until it ends, with one statement. After the transaction,
/// the connection has its former role again.
async fn enter_wall(tx: &DatabaseTransaction, tenant: CreatorId, access: TxMode) -> Result<Wall, DbErr> {
    let read_only = match access {
        TxMode::ReadOnly => ", set_config('transaction_read_only', 'on', true)",
        TxMode::ReadWrite => "",
    };
    // The columns of a row are evaluated from left to right.
    let sql = format!(
        "SELECT current_setting('role') AS role_before, set_config('role', '{TENANT_ROLE}', true), \
         set_config('smallrun.creator', $1, true){read_only}"
    );
    let statement =
        Statement::from_sql_and_values(DbBackend::Postgres, sql, [tenant.uuid().to_string().into()]);
    let row = tx.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("set_config".to_owned()))?;
    Ok(Wall { role_before: row.try_get("", "role_before")?, is_outside: AtomicBool::new(false) })
}

async fn set_role(tx: &DatabaseTransaction, role: &str) -> Result<(), DbErr> {
    let sql = "SELECT set_config('role', $1, true)";
    tx.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [role.into()])).await?;
    Ok(())
}

#[derive(Clone, Copy)]
enum TxMode {
    ReadOnly,
    ReadWrite,
}

/// Runs `work` in one transaction: commits if `work` returns `Ok`, and rolls back otherwise. A tenant's
/// transaction runs within the second wall.
///
/// On SQLite the transaction is `IMMEDIATE`: it takes the write lock at its first statement, because a
/// transaction that reads first and writes later fails under contention.
pub async fn in_tx<T, E, F>(db: &Db, by: impl Into<By>, work: F) -> Result<T, E>
where
    F: AsyncFnOnce(&Tx) -> Result<T, E>,
    E: From<DbErr>,
{
    let tx = begin(db, by.into()).await?;
    match work(&tx).await {
        Ok(done) => {
            let (left_work, due) = (tx.left_work.load(Ordering::Relaxed), tx.due.take());
            tx.inner.commit().await?;
            if left_work {
                due.into_iter().for_each(|(queue, count)| db.0.due.add(queue, count));
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

/// Reads a tenant's rows. On PostgreSQL this runs within the second wall, in a read-only transaction. On
/// SQLite, which has no wall, it uses the pool of readers.
pub async fn read_in<T, E, F>(db: &Db, by: impl Into<By>, work: F) -> Result<T, E>
where
    F: AsyncFnOnce(&DatabaseExecutor<'_>) -> Result<T, E>,
    E: From<DbErr>,
{
    let tenant = by.into().tenant.filter(|_| db.has_wall());
    let Some(tenant) = tenant else { return work(&db.reader().into()).await };
    let tx = begin_on(&db.0.readers).await?;
    enter_wall(&tx, tenant, TxMode::ReadOnly).await?;
    let read = work(&(&tx).into()).await;
    // There is nothing to commit; the rollback restores the connection's role.
    let ended = tx.rollback().await;
    let read = read?;
    ended?;
    Ok(read)
}

async fn begin(db: &Db, by: By) -> Result<Tx, DbErr> {
    let inner = begin_on(&db.0.writer).await?;
    let wall = match by.tenant.filter(|_| db.has_wall()) {
        Some(tenant) => Some(enter_wall(&inner, tenant, TxMode::ReadWrite).await?),
        None => None,
    };
    let (left_work, due) = (AtomicBool::new(false), Due::default());
    Ok(Tx {
        inner,
        wall,
        db: db.clone(),
        actor: by.actor,
        now: db.now(),
        left_work,
        due,
        kept: PendingInserts::default(),
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place that begins a transaction")]
async fn begin_on(connection: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    connection.begin_with_options(options).await
}

/// Turns a row into an active model with all of its columns set, for an insert.
pub(crate) fn as_new<M, A>(row: M) -> A
where
    M: IntoActiveModel<A>,
    A: ActiveModelTrait<Entity: EntityTrait<Model = M>>,
{
    row.into_active_model().reset_all()
}

/// Returns whether a failure is transient: it comes from the connection or from contention, so the same
/// request may succeed a moment later. The outcome of a commit that failed in this way is unknown.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "enums of other crates: an error that is not listed is permanent"
)]
pub(crate) fn is_transient(error: &DbErr) -> bool {
    match error {
        DbErr::ConnectionAcquire(_) => true,
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => match &**cause {
            SqlxError::Io(_) | SqlxError::Tls(_) | SqlxError::PoolTimedOut | SqlxError::WorkerCrashed => true,
            // PostgreSQL's codes have five characters: connection exceptions, a server that is shutting down,
            // and a transaction that lost to another one. SQLite's codes are numbers: SQLITE_BUSY and
            // SQLITE_LOCKED are the lower byte of an extended code.
            SqlxError::Database(failed) => failed.code().is_some_and(|code| match code.len() {
                5 => code.starts_with("08") || code.starts_with("57P") || code == "40001" || code == "40P01",
                _ => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6)),
            }),
            _ => false,
        },
        _ => false,
    }
}
