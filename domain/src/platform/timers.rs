//! Timers: what must be done at an instant, written with the instant it belongs to.
//!
//! A due timer becomes a task and its row goes, in one short transaction; the task's operation
//! checks again under its own locks, so a timer is harmless when late or doubled.

#![expect(clippy::disallowed_methods, unreachable_pub, reason = "the timers table's own finders, and what its derive makes public")]

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, DeriveActiveEnum, QueryOrder, QuerySelect, SelectGetableTuple, Selector,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, IntoColumnRef, LockBehavior, LockType, OnConflict, Query, SelectStatement},
};

use super::{
    bulk,
    db::{Db, Tx},
    faults::{self, Point},
    ids::{CheckoutId, EntityId},
    tasks::{self, NewTask, Task},
    trace::TraceParent,
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
    set_all(tx, kind, vec![(subject.uuid(), due_at, TraceParent::current())]).await
}

/// Sets or moves timers, each with the trace of what caused it, with one statement.
pub(crate) async fn set_all(
    tx: &Tx,
    kind: TimerKind,
    timers: Vec<(Uuid, DateTime<Utc>, Option<TraceParent>)>,
) -> Result<(), DbErr> {
    if timers.is_empty() {
        return Ok(());
    }
    let row = |(subject, due_at, trace): (Uuid, DateTime<Utc>, Option<TraceParent>)| {
        let traceparent = trace.map(|trace| trace.header());
        ActiveModel { kind: Set(kind), subject: Set(subject), due_at: Set(due_at), traceparent: Set(traceparent) }
    };
    let rows = timers.into_iter().map(row).collect();
    bulk::upsert_all(tx, rows, [C::Kind, C::Subject], [C::DueAt, C::Traceparent]).await?;
    tx.leaves_work();
    Ok(())
}

/// Sets timers where there are none; answers how many were missing.
pub(crate) async fn set_missing(
    tx: &Tx,
    kind: TimerKind,
    timers: impl IntoIterator<Item = (Uuid, DateTime<Utc>)>,
) -> Result<u64, DbErr> {
    let row =
        |(subject, due_at)| ActiveModel { kind: Set(kind), subject: Set(subject), due_at: Set(due_at), traceparent: Set(None) };
    let rows: Vec<_> = timers.into_iter().map(row).collect();
    if rows.is_empty() {
        return Ok(0);
    }
    let there = OnConflict::columns([C::Kind, C::Subject]).do_nothing().to_owned();
    tx.leaves_work();
    Entity::insert_many(rows).on_conflict(there).exec_without_returning(tx.conn()).await
}

/// Drops a timer; no harm when there is none.
pub async fn drop(tx: &Tx, kind: TimerKind, subject: impl EntityId) -> Result<(), DbErr> {
    Entity::delete_by_id((kind, subject.uuid())).exec(tx.conn()).await?;
    Ok(())
}

/// When the next timer is due, if there is one.
pub async fn next_due(db: &Db) -> Result<Option<DateTime<Utc>>, DbErr> {
    let next = Entity::find().select_only().column(C::DueAt).order_by_asc(C::DueAt);
    next.into_tuple().one(db.reader()).await
}

/// How many timers are due at `now`, and since when the first one is: one statement.
pub async fn due(db: &Db, now: DateTime<Utc>) -> Result<(i64, Option<DateTime<Utc>>), DbErr> {
    let due = Entity::find().select_only().column_as(C::DueAt.count(), "due").column_as(C::DueAt.min(), "since");
    let row = due.filter(C::DueAt.lte(now)).into_tuple().one(db.reader()).await?;
    Ok(row.unwrap_or((0, None)))
}

/// The timer of the row of an outer query whose id is `subject`, for `EXISTS`.
pub(crate) fn of_subject(kind: TimerKind, subject: impl IntoColumnRef) -> SelectStatement {
    let same = Expr::col((Entity, C::Subject)).equals(subject);
    Query::select().expr(Expr::val(1)).from(Entity).and_where(C::Kind.eq(kind)).and_where(same).to_owned()
}

/// The column of an outer query on timers that names their subject.
pub(crate) fn subject_column() -> impl IntoColumnRef {
    (Entity, C::Subject)
}

/// The subjects of up to `limit` timers for which `row`, which refers to [`subject_column`], finds nothing; the earliest first.
pub(crate) fn without(kind: TimerKind, row: SelectStatement, limit: u64) -> Selector<SelectGetableTuple<Uuid>> {
    let timers = Entity::find().select_only().column(C::Subject).filter(C::Kind.eq(kind)).filter(Expr::not_exists(row));
    timers.order_by_asc(C::DueAt).limit(limit).into_tuple()
}

/// Drops timers; answers how many.
pub(crate) async fn drop_all(tx: &Tx, kind: TimerKind, subjects: &[Uuid]) -> Result<u64, DbErr> {
    let those = Entity::delete_many().filter(C::Kind.eq(kind)).filter(C::Subject.is_in(subjects.iter().copied()));
    Ok(those.exec(tx.conn()).await?.rows_affected)
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
                let trace = row.traceparent.as_deref().and_then(TraceParent::parse);
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
