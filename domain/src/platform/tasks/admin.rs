//! The tasks as administrators see them: lists them by queue, kind, state and subject; requeues and discards
//! dead letters.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the tasks tables' own finders, and what a derive makes public"
)]

use std::{collections::HashMap, ops::RangeInclusive};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, QueryOrder, QuerySelect, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::{ATTEMPTS_MAX, C, Entity, Queue, TaskRow, TaskState};
use crate::platform::{
    OpError,
    access::AdminScope,
    audit,
    db::{Db, Tx, in_tx},
    ids::TaskId,
    page::{Page, Slice, SortKey, SortValue, count_capped, slice},
    text::{TextError, TextLine},
};

/// The tasks to list; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct TaskFilter {
    /// Only this queue.
    pub queue: Option<Queue>,
    /// Only this kind, by its constant name.
    pub kind: Option<String>,
    /// Only this state.
    pub state: Option<TaskState>,
    /// Only this subject, as in [`Task::subject`](super::Task::subject).
    pub subject: Option<String>,
}

/// The order of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskSort {
    /// Last queued first.
    #[default]
    Newest,
    /// First queued first.
    Oldest,
    /// Next to run first.
    DueSoonest,
}

/// Tasks of the queues that this version knows. A newer version may have written others, which no [`TaskRow`]
/// can hold; it lists them itself.
fn known() -> Select<Entity> {
    Entity::find().filter(C::Queue.is_in(Queue::ALL))
}

fn selected(filter: &TaskFilter) -> Select<Entity> {
    let mut select = match filter.queue {
        Some(queue) => Entity::find().filter(C::Queue.eq(queue)),
        None => known(),
    };
    if let Some(kind) = &filter.kind {
        select = select.filter(C::Kind.eq(kind));
    }
    if let Some(subject) = &filter.subject {
        select = select.filter(C::Subject.eq(subject));
    }
    match filter.state {
        // A literal, because a parameter would not match the partial index of dead letters.
        Some(TaskState::Dead) => select.filter(Expr::cust("state = 'DEAD'")),
        Some(state @ (TaskState::Ready | TaskState::Running)) => select.filter(C::State.eq(state)),
        None => select,
    }
}

/// Returns a page of the tasks that match.
pub async fn list(
    db: &Db,
    _scope: &AdminScope,
    filter: &TaskFilter,
    sort: TaskSort,
    page: &Page,
) -> Result<Slice<TaskRow>, DbErr> {
    let (column, descending) = match sort {
        TaskSort::Newest => (C::CreatedAt, true),
        TaskSort::Oldest => (C::CreatedAt, false),
        TaskSort::DueSoonest => (C::RunAt, false),
    };
    slice(db.reader(), selected(filter), (column, C::Id), descending, page, |row: &TaskRow| {
        let at = match sort {
            TaskSort::Newest | TaskSort::Oldest => row.created_at,
            TaskSort::DueSoonest => row.run_at,
        };
        SortKey::new(SortValue::Time(at), row.id)
    })
    .await
}

/// Counts the tasks that [`list`] returns, up to a cap.
pub async fn count(db: &Db, _scope: &AdminScope, filter: &TaskFilter) -> Result<u64, DbErr> {
    count_capped(db.reader(), selected(filter)).await
}

/// Returns tasks by id, with one statement.
pub async fn by_ids(db: &Db, _scope: &AdminScope, ids: &[TaskId]) -> Result<HashMap<TaskId, TaskRow>, DbErr> {
    let rows = known().filter(C::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Why a task was not requeued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequeueRefusal {
    /// There is no such task; it may have succeeded.
    #[error("not found")]
    NotFound,
    /// The task is waiting or running.
    #[error("this task is not a dead letter: it is waiting or running")]
    NotDead,
}

/// Puts a dead letter back into its queue, with the full number of attempts, and returns its row.
pub async fn requeue(db: &Db, scope: &AdminScope, id: TaskId) -> Result<TaskRow, OpError<RequeueRefusal>> {
    in_tx(db, scope.actor(), async |tx| {
        let put_back = put_back(tx, &[id]).await?;
        let Some(row) = known().filter(C::Id.eq(id)).one(tx.conn()).await? else {
            return Err(OpError::refuse_field(RequeueRefusal::NotFound, "id"));
        };
        if put_back == 0 {
            return Err(OpError::refuse_field(RequeueRefusal::NotDead, "id"));
        }
        tx.leaves_task(row.queue);
        audit::record(tx, "task.requeue", id, &["state"]).await?;
        Ok(row)
    })
    .await
}

/// Puts back those of the tasks that are dead letters, and returns their number.
async fn put_back(tx: &Tx, ids: &[TaskId]) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Ready))
        .col_expr(C::AttemptsMax, ExprTrait::add(Expr::col(C::Attempt), ATTEMPTS_MAX))
        .col_expr(C::RunAt, Expr::value(tx.now()));
    let update = update.filter(C::Id.is_in(ids.iter().copied())).filter(C::State.eq(TaskState::Dead));
    tx.leaves_work();
    Ok(update.exec(tx.conn()).await?.rows_affected)
}

/// The number of dead letters requeued in one transaction, which takes some milliseconds.
const REQUEUE_BATCH: u64 = 200;
/// The maximum number of dead letters requeued by one call.
pub const REQUEUE_MAX: u64 = 10_000;

/// The result of [`requeue_all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requeued {
    /// The number of dead letters that were requeued.
    pub count: u64,
    /// Whether there may be more, to be requeued by another call.
    pub more: bool,
}

/// Requeues all dead letters of a kind, in short transactions, up to [`REQUEUE_MAX`] in one call. A task that
/// fails again meanwhile is not requeued twice.
pub async fn requeue_all(db: &Db, scope: &AdminScope, kind: &str) -> Result<Requeued, DbErr> {
    let mut done = Requeued { count: 0, more: true };
    let mut after: Option<TaskId> = None;
    while done.more && done.count < REQUEUE_MAX {
        let (count, last) = in_tx(db, scope.actor(), async |tx| requeue_some(tx, kind, after).await).await?;
        done.count = done.count.saturating_add(count);
        done.more = last.is_some();
        after = last;
    }
    Ok(done)
}

/// Requeues one batch of dead letters with ids above `after`. Returns its size, and its last id if others may
/// follow.
async fn requeue_some(tx: &Tx, kind: &str, after: Option<TaskId>) -> Result<(u64, Option<TaskId>), DbErr> {
    let filter =
        TaskFilter { kind: Some(kind.to_owned()), state: Some(TaskState::Dead), ..TaskFilter::default() };
    let mut select = selected(&filter).select_only().column(C::Id);
    if let Some(after) = after {
        select = select.filter(C::Id.gt(after));
    }
    let ids: Vec<TaskId> =
        select.order_by_asc(C::Id).limit(REQUEUE_BATCH).lock_exclusive().into_tuple().all(tx.conn()).await?;
    if ids.is_empty() {
        return Ok((0, None));
    }
    let count = put_back(tx, &ids).await?;
    audit::record_all(tx, "task.requeue", ids.iter().copied(), &["state"]).await?;
    let full = u64::try_from(ids.len()).unwrap_or(0) == REQUEUE_BATCH;
    Ok((count, ids.last().copied().filter(|_| full)))
}

/// An administrator's reason for discarding a dead letter, in one line. The audit log keeps it forever, so it
/// must not name persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscardReason(TextLine<{ DiscardReason::MAX }>);

impl DiscardReason {
    /// The most characters of a reason.
    const MAX: usize = 500;
    /// The shortest and the longest length, in characters.
    pub const CHARS: RangeInclusive<usize> = 3..=Self::MAX;

    /// Checks a reason; the error says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        match TextLine::new(text) {
            Ok(line) if Self::CHARS.contains(&line.as_str().chars().count()) => Ok(Self(line)),
            Ok(_) | Err(TextError::Empty) => Err("must have at least 3 characters"),
            Err(TextError::TooLong) => Err("must have at most 500 characters"),
            Err(TextError::ForbiddenSign) => Err("contains characters that are not allowed"),
        }
    }
}

/// Why a task was not discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiscardRefusal {
    /// There is no such task; it may have succeeded.
    #[error("not found")]
    NotFound,
    /// The task is waiting or running.
    #[error("only a dead letter can be discarded: this task is waiting or running")]
    NotDead,
}

mod discard_row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "task_discards")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub kind: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub subject: String,
        pub discarded_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Deletes a dead letter and its history. The audit log keeps the reason. A row records that the task was
/// discarded, so that no reconciler queues it again.
pub async fn discard(
    db: &Db,
    scope: &AdminScope,
    id: TaskId,
    reason: &DiscardReason,
) -> Result<(), OpError<DiscardRefusal>> {
    use discard_row::Column as D;
    in_tx(db, scope.actor(), async |tx| {
        let row = known().filter(C::Id.eq(id)).lock_exclusive().one(tx.conn()).await?;
        let row = row.ok_or_else(|| OpError::refuse_field(DiscardRefusal::NotFound, "id"))?;
        match row.state {
            TaskState::Dead => {}
            TaskState::Ready | TaskState::Running => {
                return Err(OpError::refuse_field(DiscardRefusal::NotDead, "id"));
            }
        }
        Entity::delete_by_id(id).exec(tx.conn()).await?;
        if let Some(subject) = row.subject {
            let discarded = discard_row::ActiveModel {
                kind: Set(row.kind),
                subject: Set(subject),
                discarded_at: Set(tx.now()),
            };
            let again = OnConflict::columns([D::Kind, D::Subject]).update_column(D::DiscardedAt).to_owned();
            discard_row::Entity::insert(discarded)
                .on_conflict(again)
                .exec_without_returning(tx.conn())
                .await?;
        }
        Ok(audit::record_with_reason(tx, "task.discard", id, reason.0.as_str()).await?)
    })
    .await
}

/// Returns those of the subjects for which a task of one of these kinds was discarded.
pub(super) async fn discarded(
    conn: &impl ConnectionTrait,
    kinds: &[&str],
    subjects: &[String],
) -> Result<Vec<String>, DbErr> {
    use discard_row::Column as D;
    let select = discard_row::Entity::find()
        .select_only()
        .column(D::Subject)
        .filter(D::Kind.is_in(kinds.iter().copied()));
    select.filter(D::Subject.is_in(subjects.iter().map(String::as_str))).into_tuple().all(conn).await
}
