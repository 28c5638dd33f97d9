//! The sandbox's background task.

use std::sync::Arc;

use domain::platform::tasks::{Attempt, Queue, Task, TaskError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DeliverError, NAME, Sandbox};

impl From<DeliverError> for TaskError {
    fn from(error: DeliverError) -> Self {
        match error {
            DeliverError::Later(_) => Self::retry(error),
            DeliverError::Unknown => Self::discard(error),
        }
    }
}

/// Sends the webhook of an event, or settles a late payment. The subject is the sandbox's id of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxOutcome {
    /// The id of the event.
    pub event: Uuid,
}

impl Task for SandboxOutcome {
    type Context = Arc<Sandbox>;

    const KIND: &'static str = "sandbox_outcome";
    const QUEUE: Queue = Queue::Sandbox;
    const REASON: &'static str = NAME;

    fn subject(&self) -> String {
        self.event.to_string()
    }

    async fn run(self, _: &Attempt, sandbox: &Arc<Sandbox>) -> Result<(), TaskError> {
        Ok(sandbox.deliver(self.event).await?)
    }
}
