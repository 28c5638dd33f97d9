//! The queue of the sandbox gateway: what it does in its own time.

use std::sync::Arc;

use async_trait::async_trait;
use domain::platform::tasks::{Claimed, Task};
use payments::{Sandbox, sandbox::DeliverError};

use crate::{failure::TaskError, run::Handler};

impl From<DeliverError> for TaskError {
    fn from(error: DeliverError) -> Self {
        match error {
            DeliverError::Later(_) => Self::retry(error),
            DeliverError::Unknown => Self::discard(error),
        }
    }
}

/// Does the tasks of the queue `sandbox`.
pub(crate) struct SandboxQueue {
    pub(crate) sandbox: Arc<Sandbox>,
}

#[async_trait]
impl Handler for SandboxQueue {
    async fn handle(&self, claimed: &Claimed) -> Result<(), TaskError> {
        match claimed.task {
            Task::SandboxOutcome { event } => Ok(self.sandbox.deliver(event).await?),
            Task::SendMail { .. }
            | Task::LapseCheckout { .. }
            | Task::AdvancePayment { .. }
            | Task::CancelPayment { .. }
            | Task::SyncPayment { .. }
            | Task::MakeRefund { .. }
            | Task::ApplyWebhook { .. }
            | Task::ImportProducts { .. } => Err(crate::misplaced(claimed)),
        }
    }
}
