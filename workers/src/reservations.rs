//! The queue of reservations: what is due in our own state. Holds lapse, webhooks are applied.

use async_trait::async_trait;
use domain::{
    payments::{gateways::Gateways, webhook::apply_webhook},
    platform::{
        Db,
        access::SystemScope,
        tasks::{Claimed, Task},
    },
    reservations::lapse::lapse,
};

use crate::{failure::TaskError, payments::configured, run::Handler};

/// Does the tasks of the queue `reservations`.
pub(crate) struct ReservationsQueue {
    pub(crate) db: Db,
    pub(crate) gateways: Gateways,
}

#[async_trait]
impl Handler for ReservationsQueue {
    async fn handle(&self, claimed: &Claimed) -> Result<(), TaskError> {
        match &claimed.task {
            Task::LapseCheckout { checkout } => {
                lapse(&self.db, &SystemScope::new("hold-lapse"), *checkout).await?;
                Ok(())
            }
            Task::ApplyWebhook { gateway, event } => {
                let gateway = configured(&self.gateways, gateway)?;
                Ok(apply_webhook(&self.db, gateway, &SystemScope::new("webhook"), event).await?)
            }
            Task::SendMail { .. }
            | Task::AdvancePayment { .. }
            | Task::CancelPayment { .. }
            | Task::SyncPayment { .. }
            | Task::MakeRefund { .. }
            | Task::SandboxOutcome { .. }
            | Task::ImportProducts { .. } => Err(crate::misplaced(claimed)),
        }
    }
}
