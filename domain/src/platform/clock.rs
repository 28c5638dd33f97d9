//! Time: UTC, cut to microseconds (what PostgreSQL keeps), from one injected [`Clock`].

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement};

/// Where the time comes from.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time of this process, for timestamps and for the arrival of a request.
    fn now(&self) -> DateTime<Utc>;

    /// The time that decides, to be read after the lock of a decision is granted: the database's
    /// on PostgreSQL, where several processes share it; this process's on SQLite.
    async fn decision_now(&self, tx: &DatabaseTransaction) -> Result<DateTime<Utc>, DbErr>;

    /// The machine's time, which nobody moves. A clock that is set on or back (the demo's) answers here what
    /// it would if it were not: the audit log tells when a write was really made, or nobody could tell a row
    /// that was made up later.
    fn machine_now(&self) -> DateTime<Utc> {
        self.now()
    }

    /// Looks how far the processes of this deployment have set their clock forward; answers whether that has
    /// changed.
    async fn refresh(&self, _connection: &DatabaseConnection) -> Result<bool, DbErr> {
        Ok(false)
    }

    /// Whether it may change soon how far the clock is set forward: it does in a demo.
    fn can_be_set_forward(&self) -> bool {
        false
    }
}

/// The clock of the machine and of the database.
#[derive(Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }

    async fn decision_now(&self, tx: &DatabaseTransaction) -> Result<DateTime<Utc>, DbErr> {
        if tx.get_database_backend() != DbBackend::Postgres {
            return Ok(self.now());
        }
        let statement = Statement::from_string(DbBackend::Postgres, "SELECT clock_timestamp() AS now");
        let row = tx.query_one_raw(statement).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("clock_timestamp".to_owned()))?;
        row.try_get::<DateTime<Utc>>("", "now")
    }
}

/// A clock that moves only when it is told to: for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock forward (or, by a negative span, back).
    pub fn advance(&self, by: TimeDelta) {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *now = now.checked_add_signed(by).unwrap_or(*now);
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn decision_now(&self, _tx: &DatabaseTransaction) -> Result<DateTime<Utc>, DbErr> {
        Ok(self.now())
    }
}
