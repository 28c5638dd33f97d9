//! How a task says that it failed: whether to try again is decided where the cause is known.

use std::{error::Error, fmt};

use domain::platform::OpError;
use sea_orm::DbErr;

/// A cause, kept with its own causes.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a task was not done.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It may go better later: after a wait it is tried again, up to a number of attempts.
    #[error("to be tried again")]
    Retry(#[source] Cause),
    /// It never will: the task is set aside as a dead letter, for a person to look at.
    #[error("not to be tried again")]
    Discard(#[source] Cause),
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

/// An error and its causes on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors already say what their cause says.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
