//! What a type must say to be a task, and which kinds of tasks a process knows.

use std::{error::Error, fmt, future::Future, sync::Arc};

use async_trait::async_trait;
use sea_orm::{DbErr, JsonValue};
use serde::{Serialize, de::DeserializeOwned};

use super::{Claimed, Queue};
use crate::platform::{OpError, access::SystemScope, db::Db, ids::TaskId};

/// A kind of background work. The fields of the type are the payload: ids, never personal data.
///
/// A kind is known to a process when it is in its [`TaskKinds`]; `domain::registry` has the list.
pub trait Task: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The ports that the work needs besides the database; `()` if it needs none.
    type Context: Send + Sync + 'static;

    /// The constant name of the kind. It stands in rows, so it never changes.
    const KIND: &'static str;

    /// The queue of this kind.
    const QUEUE: Queue;

    /// Why the system acts, in the words of the audit log.
    const REASON: &'static str;

    /// What the task is about: a public id, or another name that its capability documents.
    fn subject(&self) -> String;

    /// Does the work. It is called again, with the same [`Attempt::task`], when it failed or when nobody
    /// knows whether it succeeded; so whatever it calls has its effect once.
    fn run(
        self,
        attempt: &Attempt,
        context: &Self::Context,
    ) -> impl Future<Output = Result<(), TaskError>> + Send;
}

/// How long an attempt may take before it is cut off and tried again, in seconds.
pub const TASK_SECS_MAX: u64 = 30;

/// One attempt at a task.
#[derive(Clone)]
pub struct Attempt {
    /// The id of the task's row. It is the same in all attempts, so it can be part of an idempotency key.
    pub task: TaskId,
    /// Which attempt this is, from 1.
    pub number: i32,
    /// The database.
    pub db: Db,
    /// The scope of the work, with the reason of its kind.
    pub scope: SystemScope,
}

/// A cause, kept with its own causes.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a task was not done. Whether it is tried again is decided where the cause is known.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It may go better later: the task is tried again after a wait, up to a number of attempts.
    #[error("to be tried again")]
    Retry(#[source] Cause),
    /// It never will: the task is set aside as a dead letter, for a person to look at.
    #[error("not to be tried again")]
    Discard(#[source] Cause),
    /// The kind is known, but the payload is not one that this version can read.
    #[error("not a task of this version")]
    Unreadable(#[source] Cause),
    /// The task asks for something that this version does not know. It is left to a newer version, and the
    /// attempt does not count.
    #[error("left to a newer version: {what} `{name}` is not known here")]
    Unknown {
        /// Of what sort it is, such as `letter`.
        what: &'static str,
        /// Its constant name.
        name: String,
    },
}

impl TaskError {
    /// To be tried again.
    pub fn retry(cause: impl Into<Cause>) -> Self {
        Self::Retry(cause.into())
    }

    /// For a person to look at.
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
    /// A database may do better later; a refusal or a contradiction among stored rows will not.
    fn from(error: OpError<R>) -> Self {
        match error {
            OpError::Db(error) => Self::retry(error),
            busy @ OpError::Busy(_) => Self::retry(busy),
            error @ (OpError::Refused(_) | OpError::Inconsistent(_)) => Self::discard(error),
        }
    }
}

/// A kind with its context, behind which the type is no longer seen.
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

/// The kinds of tasks that a process knows, each with the ports that it works with.
#[derive(Clone, Default)]
pub struct TaskKinds(Vec<TaskKind>);

impl TaskKinds {
    /// These, and a further kind.
    #[must_use]
    pub fn with<T: Task>(mut self, context: T::Context) -> Self {
        let runner = Arc::new(WithContext::<T>(context));
        self.0.push(TaskKind { name: T::KIND, reason: T::REASON, runner });
        self
    }

    /// These, and the others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The names of all kinds: what a worker claims.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|kind| kind.name).collect()
    }

    /// Makes an attempt at a claimed task, as the system, for the reason of its kind.
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
