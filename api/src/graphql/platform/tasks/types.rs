//! Background tasks, and their failed attempts.

use std::collections::HashMap;

use async_graphql::{Context, Enum, ID, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::platform::{
    access::{Administer, authorize},
    ids::TaskId,
    tasks::{self as rules, TaskRow},
    trace::TraceParent,
};
use sea_orm::DbErr;

use crate::graphql::{
    connection::ListNode,
    context::{ContextExt, global},
    loaders::{Loaders, edge},
};

/// A queue of background tasks.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::Queue")]
pub enum TaskQueue {
    /// Calls to the payment gateway.
    Payments,
    /// Our own state changes that are due, such as holds that lapse and webhooks that were received.
    Reservations,
    /// E-mails.
    Mail,
    /// Delayed actions of the sandbox gateway.
    Sandbox,
    /// Imports of files of products.
    Imports,
}

/// The state of a background task. A task that is done is deleted.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::TaskState")]
pub enum TaskState {
    /// The task waits for its `runAt` and for a worker.
    Ready,
    /// A worker is running the task.
    Running,
    /// The task is a dead letter: it failed too often, or for good, and needs a person.
    Dead,
}

/// The way in which an attempt failed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::AttemptOutcome")]
pub enum TaskOutcome {
    /// The attempt failed, but a later one may succeed.
    Retry,
    /// The attempt failed, and no later one can succeed. There is no other attempt.
    Discard,
    /// The attempt took too long and was cancelled.
    TimedOut,
    /// The attempt ended with a panic, which is a defect of the server.
    Panic,
    /// The worker stopped reporting, for example because it crashed.
    Lost,
    /// The version of the server that took the task does not know its kind.
    Unreadable,
}

/// A failed attempt.
#[derive(SimpleObject, Clone)]
pub struct TaskFailure {
    /// The number of the attempt, from 1.
    pub attempt: i32,
    /// The way in which it failed.
    pub outcome: TaskOutcome,
    /// The error message.
    pub error: String,
    /// When it failed.
    pub failed_at: DateTime<Utc>,
}

impl From<rules::TaskFailure> for TaskFailure {
    fn from(row: rules::TaskFailure) -> Self {
        Self { attempt: row.attempt, outcome: row.outcome.into(), error: row.error, failed_at: row.failed_at }
    }
}

edge!(
    /// A task, for administrators.
    SeenTask(TaskId) -> TaskRow, |loaders, ids| seen(loaders, ids)
);
edge!(
    /// The failed attempts of a task.
    FailuresOf(TaskId) -> Vec<rules::TaskFailure>, |loaders, ids| failures(loaders, ids)
);

async fn seen(loaders: &Loaders, ids: &[TaskId]) -> Result<HashMap<TaskId, TaskRow>, DbErr> {
    match authorize(&loaders.viewer, Administer) {
        Ok(scope) => rules::by_ids(&loaders.db, &scope, ids).await,
        Err(_) => Ok(HashMap::new()),
    }
}

async fn failures(
    loaders: &Loaders,
    ids: &[TaskId],
) -> Result<HashMap<TaskId, Vec<rules::TaskFailure>>, DbErr> {
    match authorize(&loaders.viewer, Administer) {
        Ok(scope) => rules::failures_of(&loaders.db, &scope, ids).await,
        Err(_) => Ok(HashMap::new()),
    }
}

/// A background task.
#[derive(Clone)]
pub struct Task(pub(crate) TaskRow);

impl ListNode for Task {}

/// A background task, such as an e-mail to send or a call to the payment gateway. A task that is done is
/// deleted.
#[Object]
impl Task {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The kind of the task, such as `send_mail`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }
    /// The queue of the task.
    async fn queue(&self) -> TaskQueue {
        self.0.queue.into()
    }
    /// The state of the task.
    async fn state(&self) -> TaskState {
        self.0.state.into()
    }
    /// The subject of the task: an id, such as that of a checkout or a payment. For a webhook, it is the
    /// gateway's name and the gateway's id of the event.
    async fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }
    /// The data of the task: ids, never personal data.
    async fn payload(&self) -> Json<&serde_json::Value> {
        Json(&self.0.payload)
    }
    /// The number of attempts that were started.
    async fn attempts(&self) -> i32 {
        self.0.attempt
    }
    /// The number of attempts after which the task is a dead letter.
    async fn attempts_max(&self) -> i32 {
        self.0.attempts_max
    }
    /// The earliest time of the next attempt.
    async fn run_at(&self) -> DateTime<Utc> {
        self.0.run_at
    }
    /// When the lease of the running worker ends. If the worker has not reported by then, another one takes
    /// the task.
    async fn lease_until(&self) -> Option<DateTime<Utc>> {
        self.0.lease_until
    }
    /// The urgency: among tasks that are due, the lower number runs first, and then the task that concerns
    /// the older matter.
    async fn urgency(&self) -> i32 {
        self.0.urgency
    }
    /// The error message of the last failed attempt.
    async fn last_error(&self) -> Option<&str> {
        self.0.last_error.as_deref()
    }
    /// The failed attempts, newest first; at most the last {FAILURES}.
    async fn failures(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TaskFailure>> {
        let rows = ctx.load(FailuresOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(TaskFailure::from).collect())
    }
    /// The trace id of the request or task that created the task.
    async fn trace_id(&self) -> Option<String> {
        let trace = self.0.traceparent.as_deref().and_then(TraceParent::parse)?;
        Some(trace.trace_id().to_owned())
    }
    /// When the task was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
