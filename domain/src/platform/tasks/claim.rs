//! Claiming and settling: a worker claims due tasks, and records how each attempt ended.
//!
//! A worker may stall for longer than its lease, and continue when another worker has already claimed the
//! task. So the functions that settle a task match the row by its id and attempt number, and change nothing
//! unless that attempt is still running. The attempt number never decreases, and no two workers have the same
//! one.

#![expect(clippy::disallowed_methods, reason = "the tasks table's own finders")]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    Condition, DbErr, JsonValue, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType},
};

use super::{
    C, Entity, Queue, TaskRow, TaskState,
    failures::{self, AttemptOutcome, bounded},
};
use crate::platform::{
    access::SystemScope,
    db::{Db, Tx, in_tx},
    ids::TaskId,
    trace::TraceParent,
};

/// The duration of a lease, in seconds. If a worker does not renew its lease for this long, another worker
/// may claim the task. It is three times the interval between renewals.
pub const LEASE_SECS: i64 = 10;

/// The delay, in seconds, before a task that this version cannot read is tried again. During a deploy, a
/// worker of a newer version may be able to read it. A deploy ends well before the attempts are used up.
pub const UNREADABLE_RETRY_SECS: u64 = 60;

/// A task that a worker has claimed.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The row's id. It is the same in all attempts, so it can be part of an idempotency key.
    pub id: TaskId,
    /// The constant name of the task's kind, one of the requested kinds.
    pub kind: &'static str,
    /// The queue of the task.
    pub queue: Queue,
    /// The payload, to be read by the task's kind.
    pub payload: JsonValue,
    /// The number of this attempt, from 1.
    pub attempt: i32,
    /// The number of the last attempt. It increases when an attempt does not count (see [`leave`]).
    pub attempts_max: i32,
    /// The trace that the task belongs to.
    pub trace: Option<TraceParent>,
}

impl Claimed {
    /// Returns whether the task becomes a dead letter when this attempt fails.
    pub fn is_last(&self) -> bool {
        self.attempt >= self.attempts_max
    }

    fn running(&self) -> RunningAttempt {
        RunningAttempt { id: self.id, attempt: self.attempt }
    }
}

/// A running attempt.
#[derive(Clone, Copy)]
struct RunningAttempt {
    id: TaskId,
    attempt: i32,
}

impl RunningAttempt {
    /// Matches the row as long as no other worker has taken it over.
    fn is_ours(self) -> Condition {
        Condition::all()
            .add(C::Id.eq(self.id))
            .add(C::Attempt.eq(self.attempt))
            .add(C::State.eq(TaskState::Running))
    }
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFailure {
    /// The kind of failure.
    pub outcome: AttemptOutcome,
    /// The error with its causes, without personal data and secrets. It is cut to 2,000 characters when
    /// stored.
    pub error: String,
}

impl AttemptFailure {
    /// Builds a failure.
    pub fn new<E: Into<String>>(outcome: AttemptOutcome, error: E) -> Self {
        Self { outcome, error: error.into() }
    }
}

/// Claims up to `limit` due tasks of a queue that are of these kinds. They are ordered by `urgency`, lowest
/// first, and then by `since`, oldest first (see [`NewTask::ranked`](super::NewTask::ranked)). A running task
/// whose lease expired is due too, unless that was its last attempt. Tasks of other kinds are left to workers
/// that know them.
pub async fn claim(tx: &Tx, queue: Queue, kinds: &[&'static str], limit: u64) -> Result<Vec<Claimed>, DbErr> {
    // Leases are compared across processes, whose clocks may differ.
    let now = tx.decision_now().await?;
    tx.walk_indexes().await?;
    // One statement for each state, because the index has the requested order only within one state.
    let mut rows =
        first_of(tx, queue, kinds, C::State.eq(TaskState::Ready).and(C::RunAt.lte(now)), limit).await?;
    let abandoned =
        first_of(tx, queue, kinds, C::State.eq(TaskState::Running).and(C::LeaseUntil.lt(now)), limit).await?;
    if !abandoned.is_empty() {
        rows.extend(abandoned);
        rows.sort_by_key(|row| (row.urgency, row.since));
        // The rows cut off here are unlocked at the end of the transaction.
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    let rows = without_spent(tx, rows).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let lease_until = now.checked_add_signed(TimeDelta::seconds(LEASE_SECS)).unwrap_or(now);
    Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Running))
        .col_expr(C::Attempt, ExprTrait::add(Expr::col(C::Attempt), 1))
        .col_expr(C::LeaseUntil, Expr::value(lease_until))
        // The unique key is released now. If data changes after this attempt has read it, that change must be
        // able to queue the same task again.
        .col_expr(C::UniqueKey, Expr::value(Option::<String>::None))
        .filter(C::Id.is_in(rows.iter().map(|row| row.id)))
        .exec(tx.conn())
        .await?;
    let claimed = rows.into_iter().filter_map(|row| {
        let kind = kinds.iter().find(|kind| **kind == row.kind)?;
        let trace = row.traceparent.as_deref().and_then(TraceParent::parse);
        let (attempt, attempts_max) = (row.attempt.saturating_add(1), row.attempts_max);
        Some(Claimed { id: row.id, kind, queue, payload: row.payload, attempt, attempts_max, trace })
    });
    Ok(claimed.collect())
}

/// Locks and returns the most urgent rows of a queue, skipping rows locked by other transactions.
async fn first_of(
    tx: &Tx,
    queue: Queue,
    kinds: &[&'static str],
    which: Expr,
    limit: u64,
) -> Result<Vec<TaskRow>, DbErr> {
    let known = Entity::find().filter(C::Queue.eq(queue)).filter(C::Kind.is_in(kinds.iter().copied()));
    let ordered = known.filter(which).order_by_asc(C::Urgency).order_by_asc(C::Since);
    ordered.limit(limit).lock_with_behavior(LockType::Update, LockBehavior::SkipLocked).all(tx.conn()).await
}

/// Records the running attempts among these rows as lost. Turns the tasks whose last attempt was lost into
/// dead letters, because a task that crashes its worker each time must not run forever. Returns the other
/// rows.
async fn without_spent(tx: &Tx, rows: Vec<TaskRow>) -> Result<Vec<TaskRow>, DbErr> {
    const ERROR: &str = "the worker did not renew its lease";
    let lost: Vec<_> = rows.iter().filter(|row| row.state == TaskState::Running).collect();
    for row in &lost {
        count(row.queue, row.kind.clone(), AttemptOutcome::Lost, is_spent(row));
    }
    let attempts = lost.iter().map(|row| (row.id, row.attempt));
    failures::add_all(tx, attempts, &AttemptFailure::new(AttemptOutcome::Lost, ERROR)).await?;
    let spent: Vec<TaskId> = lost.iter().filter(|row| is_spent(row)).map(|row| row.id).collect();
    if !spent.is_empty() {
        let dead = Entity::update_many()
            .col_expr(C::State, Expr::value(TaskState::Dead))
            .col_expr(C::LeaseUntil, Expr::value(Option::<DateTime<Utc>>::None))
            .col_expr(C::LastError, Expr::value(ERROR));
        dead.filter(C::Id.is_in(spent.iter().copied())).exec(tx.conn()).await?;
    }
    Ok(rows.into_iter().filter(|row| !spent.contains(&row.id)).collect())
}

/// Returns whether the task's last attempt has begun.
fn is_spent(row: &TaskRow) -> bool {
    row.attempt >= row.attempts_max
}

/// Renews the leases of these tasks, if they are running. Attempt numbers are not compared.
pub async fn renew(tx: &Tx, ids: Vec<TaskId>) -> Result<(), DbErr> {
    let now = tx.decision_now().await?;
    let lease_until = now.checked_add_signed(TimeDelta::seconds(LEASE_SECS)).unwrap_or(now);
    let update = Entity::update_many().col_expr(C::LeaseUntil, Expr::value(lease_until));
    update.filter(C::Id.is_in(ids)).filter(C::State.eq(TaskState::Running)).exec(tx.conn()).await?;
    Ok(())
}

/// Makes the running tasks of a crashed process ready again, and returns their number. Without this, they
/// would wait until their leases expire. It may be called only when a process starts and no other process has
/// workers.
pub async fn take_back(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    in_tx(db, scope.actor(), async |tx| {
        let running =
            Entity::find().filter(C::State.eq(TaskState::Running)).filter(C::Queue.is_in(Queue::ALL));
        let rows = running.lock_exclusive().all(tx.conn()).await?;
        let again = without_spent(tx, rows).await?;
        if again.is_empty() {
            return Ok(0);
        }
        let update = Entity::update_many()
            .col_expr(C::State, Expr::value(TaskState::Ready))
            .col_expr(C::LeaseUntil, Expr::value(Option::<DateTime<Utc>>::None));
        tx.leaves_work();
        Ok(update.filter(C::Id.is_in(again.iter().map(|row| row.id))).exec(tx.conn()).await?.rows_affected)
    })
    .await
}

/// Ends a task that succeeded: deletes the row and its history. Returns `false`, without a change, if this
/// attempt is no longer running, for example because another worker has claimed the task.
pub async fn finish(tx: &Tx, claimed: &Claimed) -> Result<bool, DbErr> {
    let done = Entity::delete_many().filter(claimed.running().is_ours());
    Ok(done.exec(tx.conn()).await?.rows_affected == 1)
}

/// Makes a task whose attempt failed ready again, to run at `run_at`. Returns `false` as [`finish`] does.
pub async fn retry(
    tx: &Tx,
    claimed: &Claimed,
    run_at: DateTime<Utc>,
    failure: &AttemptFailure,
) -> Result<bool, DbErr> {
    make_ready(tx, claimed.running(), run_at, failure).await
}

async fn make_ready(
    tx: &Tx,
    attempt: RunningAttempt,
    run_at: DateTime<Utc>,
    failure: &AttemptFailure,
) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Ready))
        .col_expr(C::RunAt, Expr::value(run_at))
        .col_expr(C::LeaseUntil, Expr::value(Option::<DateTime<Utc>>::None))
        .col_expr(C::LastError, Expr::value(bounded(&failure.error)));
    tx.leaves_work();
    settle(tx, attempt, update, failure).await
}

/// Makes a task whose worker is stopping ready again, at once. The attempt does not count. Returns `false` as
/// [`finish`] does.
pub async fn hand_back(tx: &Tx, claimed: &Claimed) -> Result<bool, DbErr> {
    leave(tx, claimed, tx.now()).await
}

/// Makes a task ready again for another worker, to run at `run_at`. The attempt does not count. Returns
/// `false` as [`finish`] does.
pub async fn leave(tx: &Tx, claimed: &Claimed, run_at: DateTime<Utc>) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Ready))
        .col_expr(C::RunAt, Expr::value(run_at))
        .col_expr(C::LeaseUntil, Expr::value(Option::<DateTime<Utc>>::None))
        .col_expr(C::AttemptsMax, ExprTrait::add(Expr::col(C::AttemptsMax), 1));
    let done = update.filter(claimed.running().is_ours()).exec(tx.conn()).await?;
    tx.leaves_work();
    Ok(done.rows_affected == 1)
}

/// Turns a task into a dead letter, for a person to look at. Returns `false` as [`finish`] does.
pub async fn bury(tx: &Tx, claimed: &Claimed, failure: &AttemptFailure) -> Result<bool, DbErr> {
    make_dead_letter(tx, claimed.running(), failure).await
}

async fn make_dead_letter(tx: &Tx, attempt: RunningAttempt, failure: &AttemptFailure) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .col_expr(C::State, Expr::value(TaskState::Dead))
        .col_expr(C::LeaseUntil, Expr::value(Option::<DateTime<Utc>>::None))
        .col_expr(C::LastError, Expr::value(bounded(&failure.error)));
    settle(tx, attempt, update, failure).await
}

/// Runs `update` if the attempt is still running, and records its failure. Returns `false` otherwise.
async fn settle(
    tx: &Tx,
    attempt: RunningAttempt,
    update: sea_orm::UpdateMany<Entity>,
    failure: &AttemptFailure,
) -> Result<bool, DbErr> {
    if update.filter(attempt.is_ours()).exec(tx.conn()).await?.rows_affected == 0 {
        return Ok(false);
    }
    failures::add_all(tx, std::iter::once((attempt.id, attempt.attempt)), failure).await?;
    Ok(true)
}

/// Counts an attempt that was lost. The worker counts the attempts that it ends itself, under the same metric
/// names.
fn count(queue: Queue, kind: String, outcome: AttemptOutcome, dead: bool) {
    let labels = [("queue", queue.name().to_owned()), ("kind", kind), ("outcome", outcome.word().to_owned())];
    metrics::counter!("smallrun_tasks_total", &labels).increment(1);
    let [queue, kind, _] = labels;
    if dead {
        metrics::counter!("smallrun_dead_letters_total", &[queue, kind]).increment(1);
    } else {
        metrics::counter!("smallrun_task_retries_total", &[queue, kind]).increment(1);
    }
}
