//! The task queue: background work, stored as rows.
//!
//! The row is the source of truth (attempt, `run_at`, last error). A bus only tells workers that there is a
//! task to claim.
//!
//! This file has the queues, the rows and the functions that queue a task.
//!
//! - [`kinds`] defines what a task is.
//! - [`claim`](mod@claim) lets workers claim tasks and record how each attempt ended.
//! - [`failures`] keeps the history of failed attempts.
//! - [`admin`] lets administrators list tasks and requeue or discard dead letters.
//! - [`measure`] reads the numbers for metrics.

#![expect(clippy::disallowed_methods, reason = "the tasks table's own finders")]

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, DbErr, DeriveActiveEnum, JsonValue, QuerySelect, entity::prelude::*,
    sea_query::OnConflict,
};
use serde::{Deserialize, Serialize};

use super::{Inconsistency, bulk, db::Tx, ids::TaskId, trace::TraceParent};

pub mod admin;
pub mod claim;
pub mod failures;
pub mod kinds;
pub mod measure;

pub use admin::{
    DiscardReason, DiscardRefusal, REQUEUE_MAX, RequeueRefusal, Requeued, TaskFilter, TaskSort, by_ids,
    count, discard, list, requeue, requeue_all,
};
pub use claim::{
    AttemptFailure, Claimed, LEASE_SECS, UNREADABLE_RETRY_SECS, bury, claim, finish, hand_back, leave, renew,
    retry, take_back,
};
pub use failures::{AttemptOutcome, FAILURES_MAX, TaskFailure, failures_of};
pub use kinds::{Attempt, TASK_SECS_MAX, Task, TaskError, TaskKinds};
pub use measure::{QueueLoad, come_due, depths, loads, next_due, next_due_after};

/// The queues. Each has its own workers, so that slow work never delays urgent work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Calls to the payment gateway.
    #[sea_orm(string_value = "payments")]
    Payments,
    /// Due changes of our own state: lapses of holds, and the processing of webhooks.
    #[sea_orm(string_value = "reservations")]
    Reservations,
    /// Letters.
    #[sea_orm(string_value = "mail")]
    Mail,
    /// The actions that the sandbox gateway takes on its own.
    #[sea_orm(string_value = "sandbox")]
    Sandbox,
    /// Imports of product files.
    #[sea_orm(string_value = "imports")]
    Imports,
}

impl Queue {
    /// All queues.
    pub const ALL: [Self; 5] = [Self::Payments, Self::Reservations, Self::Mail, Self::Sandbox, Self::Imports];

    /// Returns whether the work of this queue may wait while buyers wait for decisions.
    pub fn can_wait(self) -> bool {
        match self {
            Self::Payments | Self::Reservations => false,
            Self::Mail | Self::Sandbox | Self::Imports => true,
        }
    }

    /// Returns the default number of tasks that one process runs at once. Payments wait for a gateway on the
    /// network. Most others wait for the database, which on SQLite has one writer.
    pub fn concurrency(self) -> usize {
        match self {
            Self::Payments => 16,
            Self::Reservations | Self::Sandbox => 8,
            Self::Mail => 4,
            // Each import writes all the time.
            Self::Imports => 2,
        }
    }

    /// Returns the constant name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Reservations => "reservations",
            Self::Mail => "mail",
            Self::Sandbox => "sandbox",
            Self::Imports => "imports",
        }
    }
}

/// The number of tasks of each queue that were queued to run at once.
#[derive(Debug, Default)]
pub(crate) struct Due([AtomicU32; Queue::ALL.len()]);

impl Due {
    fn of(&self, queue: Queue) -> Option<&AtomicU32> {
        Queue::ALL.iter().position(|known| *known == queue).and_then(|at| self.0.get(at))
    }

    pub(crate) fn add(&self, queue: Queue, count: u32) {
        if let Some(due) = self.of(queue) {
            let _always_some =
                due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| Some(due.saturating_add(count)));
        }
    }

    /// Returns the counts and resets them; queues without any are left out.
    pub(crate) fn take(&self) -> Vec<(Queue, u32)> {
        let counts = Queue::ALL
            .into_iter()
            .filter_map(|queue| Some((queue, self.of(queue)?.swap(0, Ordering::Relaxed))));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum TaskState {
    /// Waits for its `run_at` and for a worker.
    #[sea_orm(string_value = "READY")]
    Ready,
    /// A worker runs it and holds its lease until `lease_until`.
    #[sea_orm(string_value = "RUNNING")]
    Running,
    /// A dead letter: it failed permanently or too often, and waits for a person.
    #[sea_orm(string_value = "DEAD")]
    Dead,
}

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tasks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: TaskId,
        pub kind: String,
        pub queue: Queue,
        pub payload: Json,
        /// What the task is about; `None` in rows written by versions that did not record it.
        pub subject: Option<String>,
        /// While a task with this key is ready, no second one is queued.
        pub unique_key: Option<String>,
        pub state: TaskState,
        /// The number of attempts begun. It never decreases, so it identifies the worker that holds the task.
        pub attempt: i32,
        /// The number of attempts that may be begun before the task becomes a dead letter.
        pub attempts_max: i32,
        pub run_at: DateTime<Utc>,
        /// The priority class: among due tasks, lower classes run first.
        pub urgency: i32,
        /// The age of the concern: within a class, older ones run first.
        pub since: DateTime<Utc>,
        pub lease_until: Option<DateTime<Utc>>,
        pub last_error: Option<String>,
        pub traceparent: Option<String>,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use entity::Model as TaskRow;
use entity::{ActiveModel, Column as C, Entity};

/// The number of attempts before a task becomes a dead letter; with the waits between them, half an hour at
/// most. The migration that added the column sets the same value in earlier rows.
pub const ATTEMPTS_MAX: i32 = 12;

/// The key of the kind's name within a payload, so that a payload can be read on its own.
const KIND_KEY: &str = "task";

/// Returns a task's payload as stored: its fields and the name of its kind.
pub fn stored<T: Task>(task: &T) -> Result<JsonValue, serde_json::Error> {
    let mut payload = serde_json::to_value(task)?;
    if let Some(fields) = payload.as_object_mut() {
        fields.insert(KIND_KEY.to_owned(), T::KIND.into());
    }
    Ok(payload)
}

/// A task about to be queued.
#[derive(Debug, Clone)]
pub struct NewTask {
    kind: &'static str,
    queue: Queue,
    subject: String,
    /// The payload, or the error that [`enqueue`] returns because it cannot be serialized.
    payload: Result<JsonValue, String>,
    is_unique: bool,
    run_at: Option<DateTime<Utc>>,
    urgency: i32,
    since: Option<DateTime<Utc>>,
    trace: Option<TraceParent>,
}

impl<T: Task> From<T> for NewTask {
    fn from(task: T) -> Self {
        Self {
            kind: T::KIND,
            queue: T::QUEUE,
            subject: task.subject(),
            payload: stored(&task).map_err(|error| error.to_string()),
            is_unique: false,
            run_at: None,
            urgency: 0,
            since: None,
            trace: None,
        }
    }
}

impl NewTask {
    /// Delays the task until `run_at`.
    pub fn at(mut self, run_at: DateTime<Utc>) -> Self {
        self.run_at = Some(run_at);
        self
    }

    /// Skips the task if one of the same kind and subject is already waiting.
    pub fn unique(mut self) -> Self {
        self.is_unique = true;
        self
    }

    /// Ranks the task: it runs after all due tasks of a lower class, and within its class by the age of its
    /// concern.
    pub fn ranked(mut self, urgency: i32, since: DateTime<Utc>) -> Self {
        self.urgency = urgency;
        self.since = Some(since);
        self
    }

    /// Sets the trace that caused the task, in place of the current one.
    pub(crate) fn traced(mut self, trace: Option<TraceParent>) -> Self {
        self.trace = trace;
        self
    }
}

/// Queues a task in the transaction that makes it necessary.
pub async fn enqueue(tx: &Tx, task: impl Into<NewTask>) -> Result<(), DbErr> {
    enqueue_all(tx, vec![task.into()]).await
}

/// Queues several tasks with one statement.
pub async fn enqueue_all(tx: &Tx, tasks: Vec<NewTask>) -> Result<(), DbErr> {
    enqueue_missing(tx, tasks).await.map(drop)
}

/// Queues several tasks and returns how many were new: unique tasks that are already waiting are skipped.
pub(crate) async fn enqueue_missing(tx: &Tx, tasks: Vec<NewTask>) -> Result<u64, DbErr> {
    if tasks.is_empty() {
        return Ok(0);
    }
    let here = TraceParent::current();
    let mut rows = Vec::with_capacity(tasks.len());
    for new in tasks {
        let trace = new.trace.or_else(|| here.clone());
        let run_at = new.run_at.unwrap_or(tx.now());
        if run_at <= tx.now() {
            tx.leaves_task(new.queue);
        }
        rows.push(ActiveModel {
            id: Set(tx.new_id()),
            kind: Set(new.kind.to_owned()),
            queue: Set(new.queue),
            payload: Set(new.payload.map_err(|error| Inconsistency::no_json(new.kind, error))?),
            unique_key: Set(new.is_unique.then(|| format!("{}:{}", new.kind, new.subject))),
            subject: Set(Some(new.subject)),
            state: Set(TaskState::Ready),
            attempt: Set(0),
            attempts_max: Set(ATTEMPTS_MAX),
            run_at: Set(run_at),
            urgency: Set(new.urgency),
            since: Set(new.since.unwrap_or(tx.now())),
            lease_until: Set(None),
            last_error: Set(None),
            traceparent: Set(trace.map(|trace| trace.header())),
            created_at: Set(tx.now()),
        });
    }
    let twice = OnConflict::column(C::UniqueKey).do_nothing().to_owned();
    // Tasks belong to the system, whichever tenant's transaction queues them.
    let queued = tx.beyond_wall(async || bulk::insert_or(tx, rows, twice).await).await?;
    tx.leaves_work();
    Ok(queued)
}

/// Returns those of the subjects that have a task of one of these kinds, in any state, or had one that an
/// administrator discarded. A reconciler leaves these alone.
pub(crate) async fn known(
    conn: &impl ConnectionTrait,
    kinds: &[&str],
    subjects: &[String],
) -> Result<HashSet<String>, DbErr> {
    if subjects.is_empty() {
        return Ok(HashSet::new());
    }
    let (of_kind, about) =
        (C::Kind.is_in(kinds.iter().copied()), C::Subject.is_in(subjects.iter().map(String::as_str)));
    let tasks = Entity::find()
        .select_only()
        .column(C::Subject)
        .filter(of_kind)
        .filter(about)
        .into_tuple()
        .all(conn)
        .await?;
    let mut known: HashSet<String> = tasks.into_iter().collect();
    known.extend(admin::discarded(conn, kinds, subjects).await?);
    Ok(known)
}
