//! The clock of a deployment, which a demo can set forward. All processes use one offset, stored in one row.
//!
//! The row exists only in a demo deployment ([`mark`]). Elsewhere this clock behaves like the
//! [`SystemClock`].

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the demo_clock table's own finders, and what its derive makes public"
)]

use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, Statement,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::{
    audit,
    clock::{Clock, SystemClock},
    db::{Db, in_tx},
    errors::OpError,
};
use crate::platform::access::SystemScope;

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "demo_clock")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub offset_micros: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::{ActiveModel, Column as C, Entity};

/// The id of the only row.
const ROW: i32 = 1;

/// The maximum distance between the demo's time and real time; beyond it, dates exceed calendars and the
/// validity of certificates.
const AHEAD_MAX: TimeDelta = TimeDelta::days(3_650);

/// The value that represents a missing offset.
const NO_DEMO: i64 = -1;

/// The clock of the machine and of the database, set forward in a demo.
#[derive(Debug)]
pub struct DeploymentClock {
    /// The offset when it was last read, in microseconds; [`NO_DEMO`] if this is not a demo.
    offset_micros: AtomicI64,
}

impl Default for DeploymentClock {
    /// Returns a clock that has not read the database yet.
    fn default() -> Self {
        Self { offset_micros: AtomicI64::new(NO_DEMO) }
    }
}

impl DeploymentClock {
    fn offset(&self) -> Option<TimeDelta> {
        let micros = self.offset_micros.load(Ordering::Relaxed);
        (micros != NO_DEMO).then(|| TimeDelta::microseconds(micros))
    }

    fn moved(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        self.offset().and_then(|offset| time.checked_add_signed(offset)).unwrap_or(time)
    }
}

/// Reads the database's clock and the offset in one statement.
const POSTGRES_NOW: &str =
    "SELECT clock_timestamp() AS now, (SELECT offset_micros FROM demo_clock) AS offset_micros";

#[async_trait]
impl Clock for DeploymentClock {
    fn now(&self) -> DateTime<Utc> {
        self.moved(SystemClock.now())
    }

    async fn decision_now(&self, tx: &DatabaseTransaction) -> Result<DateTime<Utc>, DbErr> {
        if self.offset().is_none() {
            return SystemClock.decision_now(tx).await;
        }
        if tx.get_database_backend() != DbBackend::Postgres {
            // On SQLite only one process decides, so the offset that it has read is current.
            return Ok(self.now());
        }
        let row = tx.query_one_raw(Statement::from_string(DbBackend::Postgres, POSTGRES_NOW)).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("clock_timestamp".to_owned()))?;
        if let Some(micros) = row.try_get::<Option<i64>>("", "offset_micros")? {
            self.offset_micros.store(micros, Ordering::Relaxed);
        }
        Ok(self.moved(row.try_get("", "now")?))
    }

    async fn refresh(&self, connection: &DatabaseConnection) -> Result<bool, DbErr> {
        let row = Entity::find_by_id(ROW).one(connection).await?;
        let micros = row.map_or(NO_DEMO, |row| row.offset_micros);
        Ok(self.offset_micros.swap(micros, Ordering::Relaxed) != micros)
    }

    fn machine_now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    fn can_be_set_forward(&self) -> bool {
        self.offset().is_some()
    }
}

/// Marks this deployment as a demo, whose clock can be set forward. Does nothing if it is one already.
pub async fn mark(db: &Db, scope: &SystemScope) -> Result<(), DbErr> {
    in_tx(db, scope.actor(), async |tx| {
        let row = ActiveModel { id: Set(ROW), offset_micros: Set(0) };
        let known = OnConflict::column(C::Id).do_nothing().to_owned();
        if Entity::insert(row).on_conflict(known).exec_without_returning(tx.conn()).await? == 1 {
            audit::record_text(tx, "demo.mark", "demo", &["clock"]).await?;
        }
        Ok::<_, DbErr>(())
    })
    .await?;
    db.refresh_clock().await?;
    Ok(())
}

/// Why the clock was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TravelRefusal {
    /// Not a demo: real orders have real deadlines.
    #[error("this deployment is not a demo")]
    NoDemo,
    /// The time span is not positive.
    #[error("the clock of a demo can only be set forward")]
    NotForward,
    /// The clock would be more than ten years ahead.
    #[error("the clock of a demo can be at most ten years ahead")]
    TooFar,
}

/// Sets the clock of a demo forward by `by`, and returns the new time. Other processes follow at their next
/// refresh, which happens several times a second.
pub async fn travel(
    db: &Db,
    scope: &SystemScope,
    by: TimeDelta,
) -> Result<DateTime<Utc>, OpError<TravelRefusal>> {
    if by <= TimeDelta::zero() {
        return Err(OpError::refuse(TravelRefusal::NotForward));
    }
    let too_far = || OpError::refuse(TravelRefusal::TooFar);
    let micros = by.num_microseconds().filter(|_| by <= AHEAD_MAX).ok_or_else(too_far)?;
    in_tx(db, scope.actor(), async |tx| {
        let update = Entity::update_many().col_expr(C::OffsetMicros, Expr::col(C::OffsetMicros).add(micros));
        update.filter(C::Id.eq(ROW)).exec(tx.conn()).await?;
        let row = Entity::find_by_id(ROW)
            .one(tx.conn())
            .await?
            .ok_or_else(|| OpError::refuse(TravelRefusal::NoDemo))?;
        if TimeDelta::microseconds(row.offset_micros) > AHEAD_MAX {
            return Err(too_far());
        }
        Ok(audit::record_text(tx, "demo.travel", "demo", &["clock"]).await?)
    })
    .await?;
    db.refresh_clock().await?;
    Ok(db.now())
}
