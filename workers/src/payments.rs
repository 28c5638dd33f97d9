//! The queue of payments: calls to the gateways, within one budget for all processes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    payments::{
        advance::advance,
        cancel_intent::cancel_intent,
        gateway::{GatewayError, GatewayEvent, Intent, NewIntent, PaymentGateway, WebhookError},
        gateway_of, gateway_of_refund,
        make_refund::make_refund,
        step::StepError,
        sync::sync,
    },
    platform::{
        Db, Money,
        access::{Actor, SystemScope},
        budget::{self, Rate},
        in_tx,
        tasks::{Claimed, Task},
    },
};
use sea_orm::DbErr;
use tokio::sync::Mutex;

use crate::{failure::TaskError, reconcile, run::Handler};

/// One wait for the budget is no longer than this, so that a clock that jumps does not stop the queue.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A gateway whose calls are within the budget that all processes share. Checking a webhook is no call.
pub struct Budgeted {
    db: Db,
    gateway: Arc<dyn PaymentGateway>,
    budget: String,
    rate: Rate,
    /// One call at a time asks for the budget, in the order in which they came.
    turn: Mutex<()>,
}

impl Budgeted {
    /// That gateway, with so many calls a second.
    pub fn new(db: Db, gateway: Arc<dyn PaymentGateway>, calls_per_second: u32) -> Self {
        let budget = format!("gateway:{}", gateway.name());
        Self { db, gateway, budget, rate: Rate::per_second(calls_per_second), turn: Mutex::new(()) }
    }

    async fn granted(&self) -> Result<(), GatewayError> {
        let _turn = self.turn.lock().await;
        loop {
            let taken =
                in_tx(&self.db, Actor::System("gateway-budget"), async |tx| budget::take(tx, &self.budget, self.rate).await);
            match taken.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(wait)) => {
                    metrics::counter!("smallrun_gateway_waits_total", "gateway" => self.gateway.name()).increment(1);
                    let wait = wait.to_std().unwrap_or(WAIT_MAX).clamp(Duration::from_millis(1), WAIT_MAX);
                    tokio::time::sleep(wait).await;
                }
                Err(error) => return Err(GatewayError::Later(format!("the budget of calls could not be read: {error}"))),
            }
        }
    }
}

#[async_trait]
impl PaymentGateway for Budgeted {
    fn name(&self) -> &'static str {
        self.gateway.name()
    }

    fn signature_header(&self) -> &'static str {
        self.gateway.signature_header()
    }

    async fn create(&self, new: &NewIntent, key: &str) -> Result<Intent, GatewayError> {
        self.granted().await?;
        self.gateway.create(new, key).await
    }

    async fn confirm(&self, intent: &str, method: &str, return_url: Option<&str>, key: &str) -> Result<Intent, GatewayError> {
        self.granted().await?;
        self.gateway.confirm(intent, method, return_url, key).await
    }

    async fn retrieve(&self, intent: &str) -> Result<Intent, GatewayError> {
        self.granted().await?;
        self.gateway.retrieve(intent).await
    }

    async fn cancel(&self, intent: &str, key: &str) -> Result<Intent, GatewayError> {
        self.granted().await?;
        self.gateway.cancel(intent, key).await
    }

    async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<String, GatewayError> {
        self.granted().await?;
        self.gateway.refund(intent, amount, key).await
    }

    fn verify_webhook(&self, signature: Option<&str>, body: &[u8]) -> Result<GatewayEvent, WebhookError> {
        self.gateway.verify_webhook(signature, body)
    }
}

/// The gateways of this deployment, by name.
#[derive(Clone)]
pub(crate) struct Gateways(Arc<[Arc<Budgeted>]>);

impl Gateways {
    pub(crate) fn new(db: &Db, gateways: &[Arc<dyn PaymentGateway>], calls_per_second: u32) -> Self {
        let budgeted = gateways.iter().map(|gateway| Arc::new(Budgeted::new(db.clone(), Arc::clone(gateway), calls_per_second)));
        Self(budgeted.collect())
    }

    pub(crate) fn named(&self, name: &str) -> Result<&Budgeted, TaskError> {
        let found = self.0.iter().find(|gateway| gateway.name() == name);
        // It may be a matter of a setting, or of another version of this program.
        found.map(AsRef::as_ref).ok_or_else(|| TaskError::retry(format!("the gateway `{name}` is not configured")))
    }
}

impl From<StepError> for TaskError {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Gateway(GatewayError::Later(_)) | StepError::Db(_) => Self::retry(error),
            StepError::Gateway(GatewayError::Refused(_)) | StepError::Disagree(_) => Self::discard(error),
        }
    }
}

/// Does the tasks of the queue `payments`.
pub(crate) struct PaymentsQueue {
    pub(crate) db: Db,
    pub(crate) gateways: Gateways,
}

impl PaymentsQueue {
    /// `None`: there is no such thing any more, so there is nothing to do.
    fn gateway(&self, name: Result<Option<String>, DbErr>) -> Result<Option<&Budgeted>, TaskError> {
        name?.map(|name| self.gateways.named(&name)).transpose()
    }
}

#[async_trait]
impl Handler for PaymentsQueue {
    async fn handle(&self, claimed: &Claimed) -> Result<(), TaskError> {
        let (db, payables) = (&self.db, domain::payables());
        match claimed.task {
            Task::AdvancePayment { payment } => {
                let Some(gateway) = self.gateway(gateway_of(db, payment).await)? else { return Ok(()) };
                Ok(advance(db, &SystemScope::new("payment-advance"), &payables, gateway, payment).await?)
            }
            Task::CancelPayment { payment } => {
                let Some(gateway) = self.gateway(gateway_of(db, payment).await)? else { return Ok(()) };
                Ok(cancel_intent(db, &SystemScope::new("payment-cancel"), &payables, gateway, payment).await?)
            }
            Task::SyncPayment { payment } => {
                let Some(gateway) = self.gateway(gateway_of(db, payment).await)? else { return Ok(()) };
                if sync(db, &SystemScope::new("reconcile"), &payables, gateway, payment).await? {
                    reconcile::count("payment_outcome", 1);
                }
                Ok(())
            }
            Task::MakeRefund { refund: id } => {
                let Some(gateway) = self.gateway(gateway_of_refund(db, id).await)? else { return Ok(()) };
                Ok(make_refund(db, &SystemScope::new("refund"), &payables, gateway, id).await?)
            }
            Task::SendMail { .. }
            | Task::LapseCheckout { .. }
            | Task::ApplyWebhook { .. }
            | Task::SandboxOutcome { .. }
            | Task::ImportProducts { .. } => Err(crate::misplaced(claimed)),
        }
    }
}
