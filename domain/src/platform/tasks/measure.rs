//! Counts and due times over all tasks, for metrics and buses.

#![expect(clippy::disallowed_methods, reason = "the tasks table's own finders")]

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveEnum, DbErr, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::{C, Entity, Queue, TaskState};
use crate::platform::db::Db;

/// Returns when the next ready task of a queue is due.
pub async fn next_due(db: &Db, queue: Queue) -> Result<Option<DateTime<Utc>>, DbErr> {
    let next = Entity::find()
        .select_only()
        .column(C::RunAt)
        .filter(C::Queue.eq(queue))
        .filter(C::State.eq(TaskState::Ready));
    next.order_by_asc(C::RunAt).into_tuple().one(db.reader()).await
}

/// Counts, by queue, the tasks that were queued for later and came due after `after`, up to `until`. Tasks
/// that could run at once are not included: the transaction that queued them counted them ([`Db::take_due`]).
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

/// Returns when the first ready task of any queue comes due after `after`.
pub async fn next_due_after(db: &Db, after: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbErr> {
    let waiting = Entity::find().filter(C::State.eq(TaskState::Ready)).filter(C::RunAt.gt(after));
    let first = waiting.select_only().column_as(C::RunAt.min(), "first");
    Ok(first.into_tuple::<Option<DateTime<Utc>>>().one(db.reader()).await?.flatten())
}

/// The tasks of one kind on one queue in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLoad {
    /// The queue.
    pub queue: Queue,
    /// The kind. A newer version may have written kinds that this one does not know.
    pub kind: String,
    /// The state.
    pub state: TaskState,
    /// The number of tasks.
    pub depth: i64,
    /// When the oldest of them was queued.
    pub oldest_at: DateTime<Utc>,
    /// The earliest `run_at`; for ready tasks, when the next one is or was due.
    pub due_at: DateTime<Utc>,
}

/// Returns all tasks by queue, kind and state, with one statement. Queues that this version does not know are
/// left out.
pub async fn loads(db: &Db) -> Result<Vec<QueueLoad>, DbErr> {
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
        Some(QueueLoad { queue, kind, state, depth, oldest_at, due_at })
    };
    Ok(rows.into_iter().filter_map(load).collect())
}

/// Returns the number of tasks by queue and state, one entry for each kind. For tests and commands that wait
/// until all work is done.
pub async fn depths(db: &Db) -> Result<Vec<(Queue, TaskState, i64)>, DbErr> {
    Ok(loads(db).await?.into_iter().map(|load| (load.queue, load.state, load.depth)).collect())
}
