//! The port to a payment gateway. The crate `payments` holds the implementations.
//!
//! An implementation keeps no truth of ours: every call carries an idempotency key that was stored
//! before, and an answer that is lost can be asked for again.

use async_trait::async_trait;

use crate::platform::{Money, ids::PaymentId};

/// Where a gateway's intent stands, in words that all gateways share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentState {
    /// No method of payment, or the last one was declined.
    RequiresMethod,
    /// The buyer must do something at `action_url` (strong customer authentication, a bank's page).
    RequiresAction,
    /// Accepted, the outcome comes later.
    Processing,
    /// The money is here.
    Succeeded,
    /// It will never succeed.
    Cancelled,
}

/// A gateway's view of one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The gateway's id.
    pub id: String,
    /// Our payment, as we named it when the intent was made.
    pub payment: PaymentId,
    /// Where it stands.
    pub state: IntentState,
    /// What was asked for.
    pub amount: Money,
    /// What was captured so far.
    pub captured: Money,
    /// Where the buyer must go, when the state is [`IntentState::RequiresAction`].
    pub action_url: Option<String>,
    /// Why the last method was declined: a constant word of the gateway.
    pub decline_code: Option<String>,
    /// What the gateway knows the means of payment by, whoever presents it: the same card has the same one. Where it tells.
    pub fingerprint: Option<String>,
}

/// What to make an intent of.
#[derive(Debug, Clone)]
pub struct NewIntent {
    /// Our payment; the gateway keeps it as its reference.
    pub payment: PaymentId,
    /// How much.
    pub amount: Money,
}

/// A webhook whose signature was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayEvent {
    /// The gateway's id of the event: the same when it is delivered twice.
    pub id: String,
    /// The intent that it speaks of; `None` for kinds that do not concern us.
    pub intent: Option<String>,
}

/// Why a call to a gateway did not answer what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The gateway is away, slow or busy: the same call with the same key may be made again.
    #[error("the payment gateway does not answer: {0}")]
    Later(String),
    /// The gateway understood and refuses: asking again changes nothing.
    #[error("the payment gateway refuses: {0}")]
    Refused(String),
}

/// A webhook that must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No signature, a wrong one, or one that is too old.
    #[error("bad signature")]
    BadSignature,
    /// Signed, but not readable.
    #[error("not an event")]
    Malformed,
}

/// A payment gateway.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// The constant name, as in `/webhooks/{gateway}`.
    fn name(&self) -> &'static str;

    /// The request header that carries a webhook's signature.
    fn signature_header(&self) -> &'static str;

    /// Makes an intent that asks for an amount.
    async fn create(&self, new: &NewIntent, key: &str) -> Result<Intent, GatewayError>;

    /// Tries to pay with a method (an opaque reference that the storefront got from the gateway's own
    /// script); `return_url` is where the buyer comes back to after an action. A decline is an
    /// intent in [`IntentState::RequiresMethod`], not an error.
    async fn confirm(&self, intent: &str, method: &str, return_url: Option<&str>, key: &str) -> Result<Intent, GatewayError>;

    /// Reads the present state.
    async fn retrieve(&self, intent: &str) -> Result<Intent, GatewayError>;

    /// Ends an intent that is not paid; answers its state, which may be [`IntentState::Succeeded`].
    async fn cancel(&self, intent: &str, key: &str) -> Result<Intent, GatewayError>;

    /// Gives back a part of what was captured; answers the gateway's id of the refund.
    async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<String, GatewayError>;

    /// Checks a webhook's signature over the raw body, in constant time. `signature` is the header [`PaymentGateway::signature_header`].
    fn verify_webhook(&self, signature: Option<&str>, body: &[u8]) -> Result<GatewayEvent, WebhookError>;
}
