//! What metrics and buses ask of all tasks together.

#![expect(clippy::disallowed_methods, reason = "the tasks table's own finders")]

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveEnum, DbErr, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::{C, Entity, Queue, TaskState};
use crate::platform::db::Db;

/// When the next task of a queue is due, if any waits.
pub async fn next_due(db: &Db, queue: Queue) -> Result<Option<DateTime<Utc>>, DbErr> {
    let next = Entity::find()
        .select_only()
        .column(C::RunAt)
        .filter(C::Queue.eq(queue))
        .filter(C::State.eq(TaskState::Ready));
    next.order_by_asc(C::RunAt).into_tuple().one(db.reader()).await
}

/// Tasks that were queued for later and came due after `after`, until `until`, by queue; those that could be
/// run at once were counted by the transaction that queued them ([`Db::take_due`]).
pub async fn come_due(
    db: &Db,
    after: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Vec<(Queue, i64)>, DbErr> {
    let waiting = Entity::find()
        .filter(C::State.eq(TaskState::Ready))
        .filter(C::RunAt.gt(after))
        .filter(C::RunAt.lte(until));
    let postponed = waiting.filter(Expr::col(C::RunAt).gt(Expr::col(C::CreatedAt)));
    let counts =
        postponed.select_only().column(C::Queue).column_as(C::Id.count(), "count").group_by(C::Queue);
    let rows: Vec<(String, i64)> = counts.into_tuple().all(db.reader()).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(queue, count)| Some((Queue::try_from_value(&queue).ok()?, count)))
        .collect())
}

/// When the first task that was queued for later than `after` comes due, whatever its queue.
pub async fn next_due_after(db: &Db, after: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbErr> {
    let waiting = Entity::find().filter(C::State.eq(TaskState::Ready)).filter(C::RunAt.gt(after));
    let first = waiting.select_only().column_as(C::RunAt.min(), "first");
    Ok(first.into_tuple::<Option<DateTime<Utc>>>().one(db.reader()).await?.flatten())
}

/// The tasks of one kind on one queue in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Of which queue.
    pub queue: Queue,
    /// Of which kind; a newer version may have written kinds that this one does not know.
    pub kind: String,
    /// In which state.
    pub state: TaskState,
    /// How many.
    pub depth: i64,
    /// When the oldest became necessary.
    pub oldest_at: DateTime<Utc>,
    /// The earliest `run_at`: of those that wait, when the next one is due or was.
    pub due_at: DateTime<Utc>,
}

/// All tasks by queue, kind and state: one statement. Those of queues that this version does not know are
/// left out.
pub async fn loads(db: &Db) -> Result<Vec<Load>, DbErr> {
    type Row = (String, String, String, i64, DateTime<Utc>, DateTime<Utc>);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .column(C::Queue)
        .column(C::Kind)
        .column(C::State)
        .column_as(C::Id.count(), "depth")
        .column_as(C::CreatedAt.min(), "oldest_at")
        .column_as(C::RunAt.min(), "due_at")
        .group_by(C::Queue)
        .group_by(C::Kind)
        .group_by(C::State)
        .into_tuple()
        .all(db.reader())
        .await?;
    let load = |(queue, kind, state, depth, oldest_at, due_at): Row| {
        let (queue, state) = (Queue::try_from_value(&queue).ok()?, TaskState::try_from_value(&state).ok()?);
        Some(Load { queue, kind, state, depth, oldest_at, due_at })
    };
    Ok(rows.into_iter().filter_map(load).collect())
}

/// Waiting and running tasks of each queue and kind, and the dead letters, for tests and commands that wait
/// for peace.
pub async fn depths(db: &Db) -> Result<Vec<(Queue, TaskState, i64)>, DbErr> {
    Ok(loads(db).await?.into_iter().map(|load| (load.queue, load.state, load.depth)).collect())
}
