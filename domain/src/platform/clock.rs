//! Time in UTC, truncated to microseconds (the precision of PostgreSQL), from an injected [`Clock`].

use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement};

/// A source of time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Returns the time of this process, for timestamps and for the arrival of a request.
    fn now(&self) -> DateTime<Utc>;

    /// Returns the time to decide by. Read it after the lock of the decision is granted. On PostgreSQL, where
    /// several processes share the database, it is the database's time. On SQLite it is this process's time.
    async fn decision_now(&self, tx: &DatabaseTransaction) -> Result<DateTime<Utc>, DbErr>;

    /// Returns the real time of the machine. A clock that can be set (a demo's clock) returns its time
    /// without the offset. The audit log records this time, because otherwise a row that was made up later
    /// could not be detected.
    fn machine_now(&self) -> DateTime<Utc> {
        self.now()
    }

    /// Reads how far the clock of this deployment is set forward, and returns whether that has changed.
    async fn refresh(&self, _connection: &DatabaseConnection) -> Result<bool, DbErr> {
        Ok(false)
    }

    /// Returns whether the clock may be set forward soon, as in a demo.
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

/// A clock that moves only on request, for tests and simulations.
#[derive(Debug)]
pub struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    /// Returns a clock that stands at `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves the clock forward, or back by a negative span.
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
