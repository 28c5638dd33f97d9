//! The port to a payment gateway. The crate `payments` holds the implementations.
//!
//! An implementation keeps no truth of ours: every call carries an idempotency key that was stored
//! before, and an answer that is lost can be asked for again.

use std::fmt;

use async_trait::async_trait;
use serde::{Serialize, Serializer};

use crate::platform::{Money, ids::PaymentId};

/// Whether money moves at a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GatewayMode {
    /// No money moves.
    Test,
    /// Money moves.
    Live,
}

/// Which gateway: the service, our account there, and the mode. Each payment keeps it, so that its later
/// calls go to the account that has its money.
///
/// As text the default account in test mode is the name alone, such as `sandbox`. Any other is spelled out,
/// such as `stripe/acct_1F7/live`. These texts are stored: they never change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayIdentity {
    name: &'static str,
    account: String,
    mode: GatewayMode,
    text: String,
}

impl GatewayIdentity {
    /// The account of a gateway that knows no others.
    const DEFAULT_ACCOUNT: &str = "default";
    /// The longest name and the longest account.
    const PART_BYTES_MAX: usize = 100;

    /// The identity of an account at a gateway; `None` where name or account is no plain word.
    pub fn new(name: &'static str, account: &str, mode: GatewayMode) -> Option<Self> {
        let plain = |part: &str| {
            let fits = (1..=Self::PART_BYTES_MAX).contains(&part.len());
            fits && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        if !plain(name) || !plain(account) {
            return None;
        }
        let text = match (account, mode) {
            (Self::DEFAULT_ACCOUNT, GatewayMode::Test) => return Some(Self::in_test(name)),
            (_, GatewayMode::Test) => format!("{name}/{account}/test"),
            (_, GatewayMode::Live) => format!("{name}/{account}/live"),
        };
        Some(Self { name, account: account.to_owned(), mode, text })
    }

    /// The identity of the default account at a gateway in test mode. `name` is a plain word.
    pub fn in_test(name: &'static str) -> Self {
        Self {
            name,
            account: Self::DEFAULT_ACCOUNT.to_owned(),
            mode: GatewayMode::Test,
            text: name.to_owned(),
        }
    }

    /// The gateway's constant name, as in `/webhooks/{gateway}`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Our account there.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Whether money moves.
    pub fn mode(&self) -> GatewayMode {
        self.mode
    }

    /// The text that payments keep.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for GatewayIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for GatewayIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

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
    /// What the gateway knows the means of payment by, whoever presents it: the same card has the same one.
    /// Where it tells.
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
    /// Which gateway it is. It never changes.
    fn identity(&self) -> &GatewayIdentity;

    /// The request header that carries a webhook's signature.
    fn signature_header(&self) -> &'static str;

    /// Makes an intent that asks for an amount.
    async fn create(&self, new: &NewIntent, key: &str) -> Result<Intent, GatewayError>;

    /// Tries to pay with a method (an opaque reference that the storefront got from the gateway's own
    /// script); `return_url` is where the buyer comes back to after an action. A decline is an
    /// intent in [`IntentState::RequiresMethod`], not an error.
    async fn confirm(
        &self,
        intent: &str,
        method: &str,
        return_url: Option<&str>,
        key: &str,
    ) -> Result<Intent, GatewayError>;

    /// Reads the present state.
    async fn retrieve(&self, intent: &str) -> Result<Intent, GatewayError>;

    /// Ends an intent that is not paid; answers its state, which may be [`IntentState::Succeeded`].
    async fn cancel(&self, intent: &str, key: &str) -> Result<Intent, GatewayError>;

    /// Gives back a part of what was captured; answers the gateway's id of the refund.
    async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<String, GatewayError>;

    /// Checks a webhook's signature over the raw body, in constant time. `signature` is the header
    /// [`PaymentGateway::signature_header`].
    fn verify_webhook(&self, signature: Option<&str>, body: &[u8]) -> Result<GatewayEvent, WebhookError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_one_text_and_the_sandbox_keeps_its_name() {
        let text = |account, mode| {
            GatewayIdentity::new("stripe", account, mode).map(|identity| identity.to_string())
        };
        assert_eq!(text("acct_1F7", GatewayMode::Live).as_deref(), Some("stripe/acct_1F7/live"));
        assert_eq!(text("acct_1F7", GatewayMode::Test).as_deref(), Some("stripe/acct_1F7/test"));
        assert_eq!(text("default", GatewayMode::Live).as_deref(), Some("stripe/default/live"));
        assert_eq!(text("default", GatewayMode::Test).as_deref(), Some("stripe"));
        for account in ["", "a/b", "a:b", "a b", "ä"] {
            assert_eq!(text(account, GatewayMode::Live), None, "{account}");
        }
        let sandbox = GatewayIdentity::in_test("sandbox");
        assert_eq!(
            (sandbox.name(), sandbox.account(), sandbox.mode()),
            ("sandbox", "default", GatewayMode::Test)
        );
        assert_eq!(serde_json::to_string(&sandbox).unwrap(), "\"sandbox\"");
    }
}
