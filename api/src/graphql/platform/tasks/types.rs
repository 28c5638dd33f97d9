//! Tasks, and the attempts at them that failed.

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
    context::{Reach, global},
    loaders::{Loaders, edge},
};

/// The queues of background work.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::Queue")]
pub enum TaskQueue {
    /// Calls to the payment gateway.
    Payments,
    /// Changes of our own state that are due: holds that lapse, webhooks that came in.
    Reservations,
    /// Letters.
    Mail,
    /// What the sandbox gateway does in its own time.
    Sandbox,
    /// Files of products that are read in.
    Imports,
}

/// Where a piece of background work stands. What is done is gone.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::TaskState")]
pub enum TaskState {
    /// Waits for its time and for a worker.
    Ready,
    /// A worker has it.
    Running,
    /// A dead letter: it failed too often, or for good, and waits for a person.
    Dead,
}

/// In which way an attempt failed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::Outcome")]
pub enum TaskOutcome {
    /// The cause may go away by itself.
    Retry,
    /// The cause will not go away by itself: no other attempt follows.
    Discard,
    /// It took too long and was cut off.
    TimedOut,
    /// It ended by a defect of this program.
    Panic,
    /// Its worker fell silent, as in a crash.
    Lost,
    /// The version of this program that looked at it does not know this kind of work.
    Unreadable,
}

/// An attempt that failed.
#[derive(SimpleObject, Clone)]
pub struct TaskFailure {
    /// Which attempt, from 1.
    pub attempt: i32,
    /// In which way.
    pub outcome: TaskOutcome,
    /// What went wrong.
    pub error: String,
    /// When.
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
    /// The attempts at a task that failed.
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

/// A piece of background work.
#[derive(Clone)]
pub struct Task(pub(crate) TaskRow);

impl ListNode for Task {}

/// A piece of background work: a letter to send, a call to the payment gateway. What is done is gone.
#[Object]
impl Task {
    /// Global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What is to be done, such as `send_mail`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }
    /// The queue that it waits in.
    async fn queue(&self) -> TaskQueue {
        self.0.queue.into()
    }
    /// Where it stands.
    async fn state(&self) -> TaskState {
        self.0.state.into()
    }
    /// What it is about: an id, such as that of a checkout or a payment; of a webhook the gateway's name and
    /// its id of the event.
    async fn subject(&self) -> Option<&str> {
        self.0.subject.as_deref()
    }
    /// What it is to be done to: ids, never personal values.
    async fn payload(&self) -> Json<&serde_json::Value> {
        Json(&self.0.payload)
    }
    /// How many attempts were begun.
    async fn attempts(&self) -> i32 {
        self.0.attempt
    }
    /// After how many attempts it is a dead letter.
    async fn attempts_max(&self) -> i32 {
        self.0.attempts_max
    }
    /// Not before that instant is it tried, or tried again.
    async fn run_at(&self) -> DateTime<Utc> {
        self.0.run_at
    }
    /// Until when a worker has it; if nothing is heard of that worker by then, another takes it.
    async fn lease_until(&self) -> Option<DateTime<Utc>> {
        self.0.lease_until
    }
    /// Among work that is due, the lower number goes first, and then what concerns the older matter.
    async fn urgency(&self) -> i32 {
        self.0.urgency
    }
    /// What went wrong the last time.
    async fn last_error(&self) -> Option<&str> {
        self.0.last_error.as_deref()
    }
    /// The attempts that failed, the newest first; the last 24 at most.
    async fn failures(&self, ctx: &Context<'_>) -> async_graphql::Result<Vec<TaskFailure>> {
        let rows = ctx.load(FailuresOf(self.0.id)).await?.unwrap_or_default();
        Ok(rows.into_iter().map(TaskFailure::from).collect())
    }
    /// The trace of what made it necessary.
    async fn trace_id(&self) -> Option<String> {
        let trace = self.0.traceparent.as_deref().and_then(TraceParent::parse)?;
        Some(trace.trace_id().to_owned())
    }
    /// When it became necessary.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
