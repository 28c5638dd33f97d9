//! The tasks of payments: calls to the gateways, and the application of webhooks.

use sea_orm::DbErr;
use serde::{Deserialize, Serialize};

use super::{
    advance::advance,
    cancel_intent::cancel_intent,
    gateway::{GatewayError, PaymentGateway},
    gateway_of, gateway_of_refund,
    gateways::Gateways,
    make_refund::make_refund,
    payable::Payables,
    step::StepError,
    sync::sync,
    webhook::apply_webhook,
};
use crate::platform::{
    EntityId,
    ids::{PaymentId, RefundId},
    tasks::{Attempt, Queue, Task, TaskError},
};

impl From<StepError> for TaskError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Gateway(GatewayError::Unavailable(_)) | StepError::Db(_) | StepError::Busy(_) => {
                Self::retry(error)
            }
            StepError::Gateway(GatewayError::Refused(_)) | StepError::Contradiction(_) => {
                Self::discard(error)
            }
        }
    }
}

/// The context of the payment tasks, besides the database.
#[derive(Debug, Clone)]
pub struct PaymentPorts {
    /// The gateways of this deployment.
    pub gateways: Gateways,
    /// What payments can be for.
    pub payables: Payables,
}

/// Returns the gateway that a payment or a webhook names.
fn configured<'g>(gateways: &'g Gateways, identity: &str) -> Result<&'g dyn PaymentGateway, TaskError> {
    // A retry can succeed once the settings are corrected, or on a process that runs another version of this
    // program.
    gateways
        .by_identity(identity)
        .ok_or_else(|| TaskError::retry(format!("the gateway `{identity}` is not configured")))
}

/// Returns the gateway of a task's subject, or `None` if the subject no longer exists, in which case there is
/// nothing to do.
fn known(
    gateways: &Gateways,
    identity: Result<Option<String>, DbErr>,
) -> Result<Option<&dyn PaymentGateway>, TaskError> {
    identity?.map(|identity| configured(gateways, &identity)).transpose()
}

/// Creates the gateway's intent of a payment and confirms it with the method that the buyer chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvancePayment {
    /// The payment.
    pub payment: PaymentId,
}

impl Task for AdvancePayment {
    type Context = PaymentPorts;

    const KIND: &'static str = "advance_payment";
    const QUEUE: Queue = Queue::Payments;
    const REASON: &'static str = "payment-advance";

    fn subject(&self) -> String {
        self.payment.public()
    }

    async fn run(self, attempt: &Attempt, ports: &PaymentPorts) -> Result<(), TaskError> {
        let gateway = known(&ports.gateways, gateway_of(&attempt.db, self.payment).await)?;
        let Some(gateway) = gateway else { return Ok(()) };
        Ok(advance(&attempt.db, &attempt.scope, &ports.payables, gateway, self.payment).await?)
    }
}

/// Cancels the gateway's intent of a payment that is no longer wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelPayment {
    /// The payment.
    pub payment: PaymentId,
}

impl Task for CancelPayment {
    type Context = PaymentPorts;

    const KIND: &'static str = "cancel_payment";
    const QUEUE: Queue = Queue::Payments;
    const REASON: &'static str = "payment-cancel";

    fn subject(&self) -> String {
        self.payment.public()
    }

    async fn run(self, attempt: &Attempt, ports: &PaymentPorts) -> Result<(), TaskError> {
        let gateway = known(&ports.gateways, gateway_of(&attempt.db, self.payment).await)?;
        let Some(gateway) = gateway else { return Ok(()) };
        Ok(cancel_intent(&attempt.db, &attempt.scope, &ports.payables, gateway, self.payment).await?)
    }
}

/// Polls the gateway for the intent of a payment that no webhook reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPayment {
    /// The payment.
    pub payment: PaymentId,
}

impl Task for SyncPayment {
    type Context = PaymentPorts;

    const KIND: &'static str = "sync_payment";
    const QUEUE: Queue = Queue::Payments;
    const REASON: &'static str = "reconcile";

    fn subject(&self) -> String {
        self.payment.public()
    }

    async fn run(self, attempt: &Attempt, ports: &PaymentPorts) -> Result<(), TaskError> {
        let gateway = known(&ports.gateways, gateway_of(&attempt.db, self.payment).await)?;
        let Some(gateway) = gateway else { return Ok(()) };
        if sync(&attempt.db, &attempt.scope, &ports.payables, gateway, self.payment).await? {
            metrics::counter!("smallrun_reconciled_total", "what" => "payment_outcome").increment(1);
        }
        Ok(())
    }
}

/// Asks the gateway to make a refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeRefund {
    /// The refund.
    pub refund: RefundId,
}

impl Task for MakeRefund {
    type Context = PaymentPorts;

    const KIND: &'static str = "make_refund";
    const QUEUE: Queue = Queue::Payments;
    const REASON: &'static str = "refund";

    fn subject(&self) -> String {
        self.refund.public()
    }

    async fn run(self, attempt: &Attempt, ports: &PaymentPorts) -> Result<(), TaskError> {
        let gateway = known(&ports.gateways, gateway_of_refund(&attempt.db, self.refund).await)?;
        let Some(gateway) = gateway else { return Ok(()) };
        Ok(make_refund(&attempt.db, &attempt.scope, &ports.payables, gateway, self.refund).await?)
    }
}

/// Applies a webhook from the inbox. Its subject is [`webhook_subject`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyWebhook {
    /// The gateway that sent it.
    pub gateway: String,
    /// The gateway's id of the event.
    pub event: String,
}

impl Task for ApplyWebhook {
    type Context = PaymentPorts;

    const KIND: &'static str = "apply_webhook";
    const QUEUE: Queue = Queue::Reservations;
    const REASON: &'static str = "webhook";

    fn subject(&self) -> String {
        webhook_subject(&self.gateway, &self.event)
    }

    async fn run(self, attempt: &Attempt, ports: &PaymentPorts) -> Result<(), TaskError> {
        let gateway = configured(&ports.gateways, &self.gateway)?;
        Ok(apply_webhook(&attempt.db, &attempt.scope, &ports.payables, gateway, &self.event).await?)
    }
}

/// Returns the subject of the task that applies a webhook: the gateway's identity and its id of the event.
pub(super) fn webhook_subject(gateway: &str, event: &str) -> String {
    format!("{gateway}:{event}")
}
