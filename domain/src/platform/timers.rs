//! Timers: what must be done at an instant, written with the instant it belongs to.
//!
//! A due timer becomes a task and its row goes, in one short transaction; the task's operation
//! checks again under its own locks, so a timer is harmless when late or doubled.

#![expect(clippy::disallowed_methods, unreachable_pub, reason = "the timers table's own finders, and what its derive makes public")]

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, DeriveActiveEnum, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{LockBehavior, LockType, OnConflict},
};

use super::{
    db::{Db, Tx},
    faults::{self, Point},
    ids::{CheckoutId, EntityId},
    tasks::{self, NewTask, Task},
};

/// What a timer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum TimerKind {
    /// The hold of a checkout runs out.
    #[sea_orm(string_value = "hold_lapse")]
    HoldLapse,
}

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "timers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: TimerKind,
        #[sea_orm(primary_key, auto_increment = false)]
        pub subject: Uuid,
        pub due_at: DateTime<Utc>,
        pub traceparent: Option<String>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::{ActiveModel, Column as C, Entity};

/// Sets or moves a timer.
pub async fn set(tx: &Tx, kind: TimerKind, subject: impl EntityId, due_at: DateTime<Utc>) -> Result<(), DbErr> {
    let traceparent = super::trace::TraceParent::current().map(|trace| trace.header());
    let row = ActiveModel { kind: Set(kind), subject: Set(subject.uuid()), due_at: Set(due_at), traceparent: Set(traceparent) };
    let moved = OnConflict::columns([C::Kind, C::Subject]).update_columns([C::DueAt, C::Traceparent]).to_owned();
    Entity::insert(row).on_conflict(moved).exec_without_returning(tx.conn()).await?;
    tx.leaves_work();
    Ok(())
}

/// Drops a timer; no harm when there is none.
pub async fn drop(tx: &Tx, kind: TimerKind, subject: impl EntityId) -> Result<(), DbErr> {
    Entity::delete_by_id((kind, subject.uuid())).exec(tx.conn()).await?;
    Ok(())
}

/// When the next timer is due, if there is one.
pub async fn next_due(db: &Db) -> Result<Option<DateTime<Utc>>, DbErr> {
    Ok(Entity::find().order_by_asc(C::DueAt).one(db.reader()).await?.map(|row| row.due_at))
}

/// Turns up to `limit` due timers into tasks. Answers how many there were.
pub async fn fire(tx: &Tx, limit: u64) -> Result<usize, DbErr> {
    let now = tx.decision_now().await?;
    let due = Entity::find()
        .filter(C::DueAt.lte(now))
        .order_by_asc(C::DueAt)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(tx.conn())
        .await?;
    let mut tasks = Vec::with_capacity(due.len());
    let mut lapsed = Vec::with_capacity(due.len());
    for row in &due {
        match row.kind {
            TimerKind::HoldLapse => {
                let checkout = CheckoutId(row.subject);
                let trace = row.traceparent.as_deref().and_then(super::trace::TraceParent::parse);
                tasks.push(NewTask::from(Task::LapseCheckout { checkout }).unique(checkout).traced(trace));
                lapsed.push(row.subject);
            }
        }
    }
    if due.is_empty() {
        return Ok(0);
    }
    tasks::enqueue_all(tx, tasks).await?;
    let fired = Entity::delete_many().filter(C::Kind.eq(TimerKind::HoldLapse)).filter(C::Subject.is_in(lapsed));
    fired.exec(tx.conn()).await?;
    faults::point(Point::TimerQueued).await?;
    Ok(due.len())
}
