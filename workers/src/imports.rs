//! The queue of imports: files of products are read in, some rows at a time.

use std::time::Duration;

use async_trait::async_trait;
use domain::{
    catalog::imports::{Progress, run_import, run_import_later},
    platform::{
        Db,
        access::SystemScope,
        tasks::{Claimed, Task},
    },
};
use tokio::time::Instant;

use crate::{
    failure::TaskError,
    run::{Handler, TASK_SECS_MAX},
};

/// How long one task works on an import before it lets others have a turn: well below the time at which it would be cut off.
const WORKS_FOR: Duration = Duration::from_secs(TASK_SECS_MAX / 3);

/// Does the tasks of the queue `imports`.
pub(crate) struct ImportsQueue {
    pub(crate) db: Db,
}

#[async_trait]
impl Handler for ImportsQueue {
    async fn handle(&self, claimed: &Claimed) -> Result<(), TaskError> {
        match claimed.task {
            Task::ImportProducts { import } => {
                let scope = SystemScope::new("product-import");
                let began = Instant::now();
                while run_import(&self.db, &scope, import).await? == Progress::More {
                    if began.elapsed() > WORKS_FOR {
                        run_import_later(&self.db, &scope, import).await?;
                        break;
                    }
                }
                Ok(())
            }
            Task::SendMail { .. }
            | Task::LapseCheckout { .. }
            | Task::AdvancePayment { .. }
            | Task::CancelPayment { .. }
            | Task::SyncPayment { .. }
            | Task::MakeRefund { .. }
            | Task::ApplyWebhook { .. }
            | Task::SandboxOutcome { .. } => Err(crate::misplaced(claimed)),
        }
    }
}
