//! Timers: tasks scheduled for an instant. A timer belongs to a subject, and is set in the same transaction
//! as the subject's due time.
//!
//! A due timer becomes a task and its row is deleted, in one short transaction. The operation of the task
//! checks again under its own locks, so a late or duplicate timer does no harm.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the timers table's own finders, and what its derive makes public"
)]

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, QueryOrder, QuerySelect, Select, SelectGetableTuple, Selector,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, IntoColumnRef, LockBehavior, LockType, OnConflict, Query, SelectStatement},
};

use super::{
    bulk,
    db::{Db, Tx},
    faults::{self, Point},
    ids::EntityId,
    tasks::{self, NewTask, Task},
    trace::TraceParent,
};

/// A kind of timer.
///
/// A process knows the kinds in its [`TimerKinds`]; `domain::registry` has the list.
pub trait Timer: 'static {
    /// The subject of the timer. A subject has at most one timer of this kind.
    type Subject: EntityId;

    /// The task that a due timer becomes.
    type Task: Task;

    /// The constant name of the kind. It is stored in rows, so it never changes.
    const KIND: &'static str;

    /// Returns the task of a subject whose timer is due. While one is waiting, no second one is queued.
    fn task(subject: Self::Subject) -> Self::Task;
}

#[derive(Clone, Copy)]
struct TimerKind {
    name: &'static str,
    task: fn(Uuid) -> NewTask,
}

/// The kinds of timers that a process knows.
#[derive(Clone, Default)]
pub struct TimerKinds(Vec<TimerKind>);

impl TimerKinds {
    /// Adds a kind.
    #[must_use]
    pub fn with<T: Timer>(mut self) -> Self {
        let task = |subject| NewTask::from(T::task(T::Subject::from_uuid(subject))).unique();
        self.0.push(TimerKind { name: T::KIND, task });
        self
    }

    /// Returns the names of all kinds.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|kind| kind.name).collect()
    }

    fn named(&self, name: &str) -> Option<TimerKind> {
        self.0.iter().copied().find(|kind| kind.name == name)
    }
}

impl fmt::Debug for TimerKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "timers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
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
pub async fn set<T: Timer>(tx: &Tx, subject: T::Subject, due_at: DateTime<Utc>) -> Result<(), DbErr> {
    set_all::<T>(tx, vec![(subject.uuid(), due_at, TraceParent::current())]).await
}

/// Sets or moves timers, each with its own trace, with one statement.
pub(crate) async fn set_all<T: Timer>(
    tx: &Tx,
    timers: Vec<(Uuid, DateTime<Utc>, Option<TraceParent>)>,
) -> Result<(), DbErr> {
    if timers.is_empty() {
        return Ok(());
    }
    let rows = timers.into_iter().map(|(subject, due_at, trace)| row::<T>(subject, due_at, trace)).collect();
    // Timers belong to the system, whichever tenant's transaction sets them.
    tx.beyond_wall(async || {
        bulk::upsert_all(tx, rows, [C::Kind, C::Subject], [C::DueAt, C::Traceparent]).await
    })
    .await?;
    tx.leaves_work();
    Ok(())
}

fn row<T: Timer>(subject: Uuid, due_at: DateTime<Utc>, trace: Option<TraceParent>) -> ActiveModel {
    let traceparent = trace.map(|trace| trace.header());
    ActiveModel {
        kind: Set(T::KIND.to_owned()),
        subject: Set(subject),
        due_at: Set(due_at),
        traceparent: Set(traceparent),
    }
}

/// Sets timers that do not exist yet, and returns their number.
pub(crate) async fn set_missing<T: Timer>(
    tx: &Tx,
    timers: impl IntoIterator<Item = (Uuid, DateTime<Utc>)>,
) -> Result<u64, DbErr> {
    let rows: Vec<_> = timers.into_iter().map(|(subject, due_at)| row::<T>(subject, due_at, None)).collect();
    let there = OnConflict::columns([C::Kind, C::Subject]).do_nothing().to_owned();
    tx.leaves_work();
    tx.beyond_wall(async || bulk::insert_or(tx, rows, there).await).await
}

/// Deletes a timer, if there is one.
pub async fn drop<T: Timer>(tx: &Tx, subject: T::Subject) -> Result<(), DbErr> {
    drop_all::<T>(tx, &[subject.uuid()]).await?;
    Ok(())
}

/// Deletes timers and returns their number.
pub(crate) async fn drop_all<T: Timer>(tx: &Tx, subjects: &[Uuid]) -> Result<u64, DbErr> {
    delete(tx, T::KIND, subjects).await
}

async fn delete(tx: &Tx, kind: &str, subjects: &[Uuid]) -> Result<u64, DbErr> {
    let those =
        Entity::delete_many().filter(C::Kind.eq(kind)).filter(C::Subject.is_in(subjects.iter().copied()));
    Ok(tx.beyond_wall(async || those.exec(tx.conn()).await).await?.rows_affected)
}

/// Returns the kind as an expression that no index matches. Queries for due timers must walk the index on
/// `due_at`, because hardly any timer is due. SQLite would read all timers of a kind instead.
fn kind() -> Expr {
    Expr::cust("(kind || '')")
}

/// Selects the timers of these kinds.
fn known(kinds: &TimerKinds) -> Select<Entity> {
    Entity::find().filter(kind().is_in(kinds.names()))
}

/// Returns when the next timer of these kinds is due, if there is one.
pub async fn next_due(db: &Db, kinds: &TimerKinds) -> Result<Option<DateTime<Utc>>, DbErr> {
    let next = known(kinds).select_only().column(C::DueAt).order_by_asc(C::DueAt);
    next.into_tuple().one(db.reader()).await
}

/// Returns, by kind, the number of timers due at `now` and the time of the first one, with one statement.
pub async fn due(db: &Db, now: DateTime<Utc>) -> Result<Vec<(String, i64, DateTime<Utc>)>, DbErr> {
    let due = Entity::find().select_only().expr_as(kind(), "of_kind").column_as(C::DueAt.count(), "due");
    let due = due.column_as(C::DueAt.min(), "since").filter(C::DueAt.lte(now)).group_by(kind());
    due.into_tuple().all(db.reader()).await
}

/// Selects the timer of the outer query's row, whose id is `subject`, for `EXISTS`.
pub(crate) fn of_subject<T: Timer>(subject: impl IntoColumnRef) -> SelectStatement {
    let same = Expr::col((Entity, C::Subject)).equals(subject);
    Query::select().expr(Expr::val(1)).from(Entity).and_where(C::Kind.eq(T::KIND)).and_where(same).to_owned()
}

/// Returns the subject column of an outer query on timers.
pub(crate) fn subject_column() -> impl IntoColumnRef {
    (Entity, C::Subject)
}

/// Selects the subjects of up to `limit` timers for which the subquery `row`, which refers to
/// [`subject_column`], finds nothing; earliest first.
pub(crate) fn without<T: Timer>(row: SelectStatement, limit: u64) -> Selector<SelectGetableTuple<Uuid>> {
    let timers = Entity::find()
        .select_only()
        .column(C::Subject)
        .filter(C::Kind.eq(T::KIND))
        .filter(Expr::not_exists(row));
    timers.order_by_asc(C::DueAt).limit(limit).into_tuple()
}

/// Turns up to `limit` due timers of these kinds into tasks, and returns their number. Timers of other kinds
/// are left to processes that know them.
pub async fn fire(tx: &Tx, kinds: &TimerKinds, limit: u64) -> Result<usize, DbErr> {
    let now = tx.decision_now().await?;
    let due = known(kinds)
        .filter(C::DueAt.lte(now))
        .order_by_asc(C::DueAt)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(tx.conn())
        .await?;
    let mut tasks = Vec::with_capacity(due.len());
    let mut fired: BTreeMap<&'static str, Vec<Uuid>> = BTreeMap::new();
    for row in &due {
        let Some(kind) = kinds.named(&row.kind) else { continue };
        let trace = row.traceparent.as_deref().and_then(TraceParent::parse);
        tasks.push((kind.task)(row.subject).traced(trace));
        fired.entry(kind.name).or_default().push(row.subject);
    }
    if due.is_empty() {
        return Ok(0);
    }
    tasks::enqueue_all(tx, tasks).await?;
    for (kind, subjects) in fired {
        delete(tx, kind, &subjects).await?;
    }
    faults::point(Point::TimerQueued).await?;
    Ok(due.len())
}
