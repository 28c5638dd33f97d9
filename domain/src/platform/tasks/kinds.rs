//! The trait of tasks, and the kinds of tasks that a process knows.

use std::{error::Error, fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use sea_orm::{DbErr, JsonValue};
use serde::{Serialize, de::DeserializeOwned};

use super::{Claimed, Queue};
use crate::platform::{OpError, access::SystemScope, db::Db, ids::TaskId};

/// A kind of background work. The fields of the type are the payload: ids, never personal data.
///
/// A process knows the kinds in its [`TaskKinds`]; `domain::registry` has the list.
pub trait Task: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The ports that the work needs besides the database; `()` if it needs none.
    type Context: Send + Sync + 'static;

    /// The constant name of the kind. It is stored in rows, so it never changes.
    const KIND: &'static str;

    /// The queue of this kind.
    const QUEUE: Queue;

    /// The reason of the actor `system:…` in the audit log.
    const REASON: &'static str;

    /// Returns what the task is about: a public id, or another name that its capability documents.
    fn subject(&self) -> String;

    /// Does the work. The task runs again, with the same [`Attempt::task`], after a failure or an unknown
    /// outcome. So the work must be idempotent.
    fn run(
        self,
        attempt: &Attempt,
        context: &Self::Context,
    ) -> impl Future<Output = Result<(), TaskError>> + Send;
}

/// The time limit of an attempt, in seconds. A longer attempt is cut off and retried.
pub const TASK_SECS_MAX: u64 = 30;

/// One attempt at a task.
#[derive(Clone)]
pub struct Attempt {
    /// The id of the task's row. It is the same in all attempts, so it can be part of an idempotency key.
    pub task: TaskId,
    /// The number of this attempt, from 1.
    pub number: i32,
    /// The database.
    pub db: Db,
    /// The scope of the work, with the reason of the task's kind.
    pub scope: SystemScope,
}

/// A cause, with its own chain of causes.
pub type Cause = Box<dyn Error + Send + Sync>;

/// The error of a task. It says whether the task is retried, because that is decided where the cause is
/// known.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A temporary failure: the task is retried after a wait, up to a maximum number of attempts.
    #[error("the task failed and is retried")]
    Retry(#[source] Cause),
    /// A permanent failure: the task becomes a dead letter, for a person to look at.
    #[error("the task failed permanently")]
    Discard(#[source] Cause),
    /// The kind is known, but this version cannot read the payload.
    #[error("this version cannot read the task")]
    Unreadable(#[source] Cause),
    /// The task needs something that this version does not know. It is left to a newer version, and the
    /// attempt does not count.
    #[error("this version does not know the {what} `{name}`; the task is left to a newer version")]
    Unknown {
        /// The sort of the unknown thing, such as `letter`.
        what: &'static str,
        /// Its constant name.
        name: String,
    },
}

impl TaskError {
    /// A temporary failure.
    pub fn retry(cause: impl Into<Cause>) -> Self {
        Self::Retry(cause.into())
    }

    /// A permanent failure.
    pub fn discard(cause: impl Into<Cause>) -> Self {
        Self::Discard(cause.into())
    }
}

impl From<DbErr> for TaskError {
    fn from(error: DbErr) -> Self {
        Self::retry(error)
    }
}

impl<R: fmt::Debug + Send + Sync + 'static> From<OpError<R>> for TaskError {
    /// Retries after a failure of the database and when busy; a refusal or contradicting rows are permanent.
    fn from(error: OpError<R>) -> Self {
        match error {
            OpError::Db(error) => Self::retry(error),
            busy @ OpError::Busy(_) => Self::retry(busy),
            error @ (OpError::Refused(_) | OpError::Inconsistent(_)) => Self::discard(error),
        }
    }
}

/// A kind of task with its context; erases the type.
#[async_trait]
trait RunTask: Send + Sync {
    async fn run(&self, attempt: &Attempt, payload: JsonValue) -> Result<(), TaskError>;
}

struct WithContext<T: Task>(T::Context);

#[async_trait]
impl<T: Task> RunTask for WithContext<T> {
    async fn run(&self, attempt: &Attempt, payload: JsonValue) -> Result<(), TaskError> {
        let task: T = serde_json::from_value(payload).map_err(|error| TaskError::Unreadable(error.into()))?;
        task.run(attempt, &self.0).await
    }
}

#[derive(Clone)]
struct TaskKind {
    name: &'static str,
    reason: &'static str,
    runner: Arc<dyn RunTask>,
}

/// The kinds of tasks that a process knows, each with its ports.
#[derive(Clone, Default)]
pub struct TaskKinds(Vec<TaskKind>);

impl TaskKinds {
    /// Adds a kind.
    #[must_use]
    pub fn with<T: Task>(mut self, context: T::Context) -> Self {
        let runner = Arc::new(WithContext::<T>(context));
        self.0.push(TaskKind { name: T::KIND, reason: T::REASON, runner });
        self
    }

    /// Adds the other kinds.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Returns the names of all kinds. Workers claim only these.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|kind| kind.name).collect()
    }

    /// Makes an attempt at a claimed task, as the system, with the reason of its kind.
    pub async fn run(&self, db: &Db, claimed: &Claimed) -> Result<(), TaskError> {
        let Some(kind) = self.0.iter().find(|kind| kind.name == claimed.kind) else {
            return Err(TaskError::Unknown { what: "task", name: claimed.kind.to_owned() });
        };
        let (db, scope) = (db.clone(), SystemScope::new(kind.reason));
        let attempt = Attempt { task: claimed.id, number: claimed.attempt, db, scope };
        kind.runner.run(&attempt, claimed.payload.clone()).await
    }
}

impl fmt::Debug for TaskKinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
