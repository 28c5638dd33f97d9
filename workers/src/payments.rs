//! Payment gateways with a rate limit per gateway.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    payments::gateway::{
        GatewayError, GatewayEvent, GatewayIdentity, Intent, NewIntent, PaymentGateway, WebhookError,
    },
    platform::{
        Db, Money,
        access::Actor,
        budget::{self, Rate},
        in_tx,
    },
};
use tokio::sync::Mutex;

/// The maximum single wait for the budget, so that a clock that jumps does not stall the queue.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// A gateway whose calls are rate-limited by a budget that all processes share. Verifying a webhook needs no
/// call and is not limited.
pub struct Budgeted {
    db: Db,
    gateway: Arc<dyn PaymentGateway>,
    budget: String,
    rate: Rate,
    /// Serializes requests for the budget, in the order in which they came.
    turn: Mutex<()>,
}

impl Budgeted {
    /// Limits a gateway to `calls_per_second`.
    pub fn new(db: Db, gateway: Arc<dyn PaymentGateway>, calls_per_second: u32) -> Self {
        let budget = format!("gateway:{}", gateway.identity());
        Self { db, gateway, budget, rate: Rate::per_second(calls_per_second), turn: Mutex::new(()) }
    }

    async fn granted(&self) -> Result<(), GatewayError> {
        let _turn = self.turn.lock().await;
        loop {
            let taken = in_tx(&self.db, Actor::System("gateway-budget"), async |tx| {
                budget::take(tx, &self.budget, self.rate).await
            });
            match taken.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(wait)) => {
                    let gateway = self.gateway.identity().to_string();
                    metrics::counter!("smallrun_gateway_waits_total", "gateway" => gateway).increment(1);
                    let wait = wait.to_std().unwrap_or(WAIT_MAX).clamp(Duration::from_millis(1), WAIT_MAX);
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    return Err(GatewayError::Unavailable(format!(
                        "the gateway's rate limit could not be checked: {error}"
                    )));
                }
            }
        }
    }
}

#[async_trait]
impl PaymentGateway for Budgeted {
    fn identity(&self) -> &GatewayIdentity {
        self.gateway.identity()
    }

    fn signature_header(&self) -> &'static str {
        self.gateway.signature_header()
    }

    async fn create(&self, new: &NewIntent, key: &str) -> Result<Intent, GatewayError> {
        self.granted().await?;
        self.gateway.create(new, key).await
    }

    async fn confirm(
        &self,
        intent: &str,
        method: &str,
        return_url: Option<&str>,
        key: &str,
    ) -> Result<Intent, GatewayError> {
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
