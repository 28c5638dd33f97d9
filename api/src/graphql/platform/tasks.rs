//! Background work: all tasks with their history, and what administrators do with dead letters.

use std::collections::HashMap;

use async_graphql::{Context, Enum, ID, InputObject, Json, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::platform::{
    NeverRefused,
    access::{Administer, authorize},
    ids::TaskId,
    tasks::{self as rules, DiscardReason, DiscardRefusal, RequeueRefusal, TaskRow},
    trace::TraceParent,
};
use sea_orm::DbErr;

use crate::graphql::{
    connection::{PageArgs, connection, counting},
    context::{Reach, global, id, id_at},
    errors::{Complaints, Internal, Stop, bad_input, payload, user_error},
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

async fn failures(loaders: &Loaders, ids: &[TaskId]) -> Result<HashMap<TaskId, Vec<rules::TaskFailure>>, DbErr> {
    match authorize(&loaders.viewer, Administer) {
        Ok(scope) => rules::failures_of(&loaders.db, &scope, ids).await,
        Err(_) => Ok(HashMap::new()),
    }
}

/// A piece of background work.
#[derive(Clone)]
pub struct Task(pub(crate) TaskRow);

connection!(TaskConnection, TaskEdge, Task);

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
    /// What it is about: an id, such as that of a checkout or a payment; of a webhook the gateway's name and its id of the event.
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
        let rows = ctx.loader().load_one(FailuresOf(self.0.id)).await.internal()?.unwrap_or_default();
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

/// Which background work is listed. All conditions hold.
#[derive(InputObject, Default)]
pub struct TaskFilter {
    /// Of this queue.
    pub queue: Option<TaskQueue>,
    /// Of this kind, such as `send_mail`.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<TaskState>,
    /// About this: an id, such as that of a checkout or a payment.
    pub subject: Option<String>,
}

impl From<TaskFilter> for rules::TaskFilter {
    fn from(filter: TaskFilter) -> Self {
        let (queue, state) = (filter.queue.map(Into::into), filter.state.map(Into::into));
        Self { queue, kind: filter.kind, state, subject: filter.subject }
    }
}

/// The order of background work.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::TaskSort")]
pub enum TaskSort {
    /// What became necessary last comes first.
    Newest,
    /// What became necessary first comes first.
    Oldest,
    /// What runs next comes first.
    DueSoonest,
}

/// Reads of background work.
#[derive(Default)]
pub struct TasksQuery;

async fn listed(
    ctx: &Context<'_>,
    list: &str,
    filter: rules::TaskFilter,
    sort: rules::TaskSort,
    args: PageArgs,
) -> async_graphql::Result<TaskConnection> {
    let scope = ctx.scope(Administer)?;
    let page = args.page(list)?;
    let slice = rules::list(ctx.db(), &scope, &filter, sort, &page).await.internal()?;
    let counting =
        counting(ctx.db(), (scope, filter), |db, (scope, filter)| async move { rules::count(&db, &scope, &filter).await });
    Ok(TaskConnection::new(list, slice.map(Task), counting))
}

#[Object]
impl TasksQuery {
    /// Background work that waits, runs, or was set aside. For administrators.
    #[expect(clippy::too_many_arguments, reason = "a list field has the arguments of the Relay specification")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only some of it.")] filter: Option<TaskFilter>,
        #[graphql(desc = "In which order.", default_with = "TaskSort::Newest")] sort: TaskSort,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<TaskConnection> {
        let list = match sort {
            TaskSort::Newest => "tasks:NEWEST",
            TaskSort::Oldest => "tasks:OLDEST",
            TaskSort::DueSoonest => "tasks:DUE_SOONEST",
        };
        listed(ctx, list, filter.unwrap_or_default().into(), sort.into(), PageArgs { first, after, last, before }).await
    }

    /// Background work that failed too often, or for good, newest first: `tasks` in the state `DEAD`. For administrators.
    async fn dead_letters(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first so many rows, 0 to 100; 20 if neither `first` nor `last` is given.")] first: Option<i32>,
        #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
        #[graphql(desc = "The last so many rows, 0 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
    ) -> async_graphql::Result<TaskConnection> {
        let dead = rules::TaskFilter { state: Some(rules::TaskState::Dead), ..rules::TaskFilter::default() };
        listed(ctx, "deadLetters", dead, rules::TaskSort::Newest, PageArgs { first, after, last, before }).await
    }

    /// A piece of background work; null when there is none, or none any more, because it is done. For administrators.
    async fn task(&self, ctx: &Context<'_>, #[graphql(desc = "Its global id.")] id: ID) -> async_graphql::Result<Option<Task>> {
        ctx.scope(Administer)?;
        let id = self::id::<TaskId>(&id).map_err(|error| bad_input(format!("`id`: {error}")))?;
        Ok(ctx.loader().load_one(SeenTask(id)).await.internal()?.map(Task))
    }
}

user_error!(TaskRequeueError, TaskRequeueErrorCode, RequeueRefusal {
    NotDead: "It is no dead letter: it waits for a worker, or one has it.",
} not_found: NotFound);
payload!(
    TaskRequeuePayload,
    TaskRequeueError {
        /// The task that waits for a worker again.
        id: ID,
        /// The task as it is now.
        task: Task,
    }
);

/// Which dead letter is to be tried again.
#[derive(InputObject)]
pub struct TaskRequeueInput {
    /// One of `deadLetters`.
    pub id: ID,
}

async fn requeue(ctx: &Context<'_>, input: TaskRequeueInput) -> Result<TaskRequeuePayload, Stop<TaskRequeueErrorCode>> {
    let scope = ctx.scope(Administer)?;
    let row = rules::requeue(ctx.db(), &scope, id_at(&input.id, "id")?).await?;
    Ok(TaskRequeuePayload { id: Some(global(row.id)), task: Some(Task(row)), ..Default::default() })
}

user_error!(TaskRequeueAllError, TaskRequeueAllErrorCode, NeverRefused {});
payload!(
    TaskRequeueAllPayload,
    TaskRequeueAllError {
        /// How many dead letters wait for a worker again.
        count: i32,
        /// Whether there may be more of that kind, because one call stops at ten thousand: ask again.
        more: bool,
    }
);

/// Which dead letters are to be tried again.
#[derive(InputObject)]
pub struct TaskRequeueAllInput {
    /// Of which kind, such as `send_mail`: 1 to 60 lower-case letters, digits and `_`.
    pub kind: String,
}

async fn requeue_all(
    ctx: &Context<'_>,
    input: TaskRequeueAllInput,
) -> Result<TaskRequeueAllPayload, Stop<TaskRequeueAllErrorCode>> {
    let scope = ctx.scope(Administer)?;
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=60).contains(&input.kind.len()) || !input.kind.bytes().all(letter) {
        return Err(Stop::invalid("kind", "is no kind of task"));
    }
    let done = rules::requeue_all(ctx.db(), &scope, &input.kind).await.internal()?;
    let count = i32::try_from(done.count).unwrap_or(i32::MAX);
    Ok(TaskRequeueAllPayload { count: Some(count), more: Some(done.more), ..Default::default() })
}

user_error!(TaskDiscardError, TaskDiscardErrorCode, DiscardRefusal {
    NotDead: "Only a dead letter can be discarded: this one waits for a worker, or one has it.",
} not_found: NotFound);
payload!(
    TaskDiscardPayload,
    TaskDiscardError {
        /// The task that is gone.
        id: ID,
    }
);

/// Which dead letter is to go, and why.
#[derive(InputObject)]
pub struct TaskDiscardInput {
    /// One of `deadLetters`.
    pub id: ID,
    /// Why: one line of 3 to 500 characters, which the audit log keeps for good. Name no persons.
    pub reason: String,
}

async fn discard(ctx: &Context<'_>, input: TaskDiscardInput) -> Result<TaskDiscardPayload, Stop<TaskDiscardErrorCode>> {
    let scope = ctx.scope(Administer)?;
    let mut wrong = Complaints::new();
    let task = wrong.take(&["id"], id::<TaskId>(&input.id));
    let reason = wrong.take(&["reason"], DiscardReason::new(&input.reason));
    let (Some(task), Some(reason)) = (task, reason) else { return Err(wrong.into()) };
    rules::discard(ctx.db(), &scope, task, &reason).await?;
    Ok(TaskDiscardPayload { id: Some(global(task)), ..Default::default() })
}

/// Writes on background work.
#[derive(Default)]
pub struct TasksMutation;

#[Object]
impl TasksMutation {
    /// Put a dead letter back into its queue, to be tried anew from now on. For administrators.
    async fn task_requeue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which dead letter.")] input: TaskRequeueInput,
    ) -> async_graphql::Result<TaskRequeuePayload> {
        TaskRequeuePayload::of(requeue(ctx, input).await)
    }

    /// Put all dead letters of a kind back into their queue, once their common cause is mended. For administrators.
    async fn task_requeue_all(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which dead letters.")] input: TaskRequeueAllInput,
    ) -> async_graphql::Result<TaskRequeueAllPayload> {
        TaskRequeueAllPayload::of(requeue_all(ctx, input).await)
    }

    /// Let a dead letter go for good: what it was to do will not be done. The audit log keeps the reason. For administrators.
    async fn task_discard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which dead letter, and why.")] input: TaskDiscardInput,
    ) -> async_graphql::Result<TaskDiscardPayload> {
        TaskDiscardPayload::of(discard(ctx, input).await)
    }
}
