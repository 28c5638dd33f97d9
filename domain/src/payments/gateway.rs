//! The port to a payment gateway. The crate `payments` contains the implementations.
//!
//! An implementation does not touch our records of payments. Every call carries an idempotency key that is
//! derived from rows stored before the call, so that a call whose answer was lost can be repeated.

use std::fmt;

use async_trait::async_trait;
use serde::{Serialize, Serializer};

use crate::platform::{Money, ids::PaymentId};

/// Whether a gateway account moves real money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GatewayMode {
    /// Test mode: no money moves.
    Test,
    /// Live mode: real money moves.
    Live,
}

/// The identity of a gateway: the service, our account there, and the mode. Each payment stores it, so that
/// its later calls go to the account that holds its money.
///
/// An identity is stored as a text, whose form must never change. The text of the default account in test
/// mode is the gateway's name alone, such as `sandbox`. The text of any other identity has all three parts,
/// such as `stripe/acct_1F7/live`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GatewayIdentity {
    name: &'static str,
    account: String,
    mode: GatewayMode,
    text: String,
}

impl GatewayIdentity {
    /// The account name of a gateway that has only one account.
    const DEFAULT_ACCOUNT: &str = "default";
    /// The maximum length of a name and of an account, in bytes.
    const PART_BYTES_MAX: usize = 100;

    /// Returns the identity of an account at a gateway, or `None` if the name or the account is not plain.
    /// A plain text has 1 to 100 bytes, which are ASCII letters, digits, `_` and `-`.
    pub fn new(name: &'static str, account: &str, mode: GatewayMode) -> Option<Self> {
        let plain = |part: &str| {
            let fits = (1..=Self::PART_BYTES_MAX).contains(&part.len());
            fits && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
        };
        if !plain(name) || !plain(account) {
            return None;
        }
        let text = match (account, mode) {
            (Self::DEFAULT_ACCOUNT, GatewayMode::Test) => return Some(Self::test_account(name)),
            (_, GatewayMode::Test) => format!("{name}/{account}/test"),
            (_, GatewayMode::Live) => format!("{name}/{account}/live"),
        };
        Some(Self { name, account: account.to_owned(), mode, text })
    }

    /// Returns the identity of the default account at a gateway in test mode. `name` must be plain, as in
    /// [`new`](Self::new).
    pub fn test_account(name: &'static str) -> Self {
        Self {
            name,
            account: Self::DEFAULT_ACCOUNT.to_owned(),
            mode: GatewayMode::Test,
            text: name.to_owned(),
        }
    }

    /// Returns the gateway's constant name, as used in `/webhooks/{gateway}`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns our account at the gateway.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns whether the account moves real money.
    pub fn mode(&self) -> GatewayMode {
        self.mode
    }

    /// Returns the text that payments store.
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

/// The state of a gateway's intent, in terms that all gateways share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentState {
    /// There is no method of payment, or the last one was declined.
    RequiresMethod,
    /// The buyer must complete an action at `action_url`, such as strong customer authentication or a bank's
    /// page.
    RequiresAction,
    /// The gateway has accepted the means of payment; whether the money is captured is decided later.
    Processing,
    /// The money was captured.
    Succeeded,
    /// The intent was cancelled and can never succeed.
    Cancelled,
}

/// A gateway's record of one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The gateway's id of the intent.
    pub id: String,
    /// Our id of the payment, which we passed when the intent was created.
    pub payment: PaymentId,
    /// The state of the intent.
    pub state: IntentState,
    /// The amount that was requested.
    pub amount: Money,
    /// The amount captured so far.
    pub captured: Money,
    /// The page that the buyer must visit when the state is [`IntentState::RequiresAction`].
    pub action_url: Option<String>,
    /// Why the last method was declined, as a constant code of the gateway.
    pub decline_code: Option<String>,
    /// The gateway's fingerprint of the means of payment, if it reports one. The same card has the same
    /// fingerprint, whoever uses it.
    pub fingerprint: Option<String>,
}

/// The input for creating an intent.
#[derive(Debug, Clone)]
pub struct NewIntent {
    /// Our id of the payment. The gateway keeps it as its reference.
    pub payment: PaymentId,
    /// The amount to be paid.
    pub amount: Money,
}

/// A webhook event whose signature was valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayEvent {
    /// The gateway's id of the event. Repeated deliveries carry the same id.
    pub id: String,
    /// The gateway's id of the intent that the event is about; `None` for kinds of events that we ignore.
    pub intent: Option<String>,
}

/// Why a call to a gateway failed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The gateway is unreachable, slow or busy. The same call may be retried with the same key.
    #[error("the payment gateway is not available: {0}")]
    Unavailable(String),
    /// The gateway understood the call and refused it. A retry would be refused again.
    #[error("the payment gateway refused the call: {0}")]
    Refused(String),
}

/// Why a webhook is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The signature is missing, wrong, or too old.
    #[error("bad signature")]
    BadSignature,
    /// The signature is valid, but the body is not a readable event.
    #[error("not an event")]
    Malformed,
}

/// A payment gateway.
#[async_trait]
pub trait PaymentGateway: Send + Sync {
    /// Returns the gateway's identity, which never changes.
    fn identity(&self) -> &GatewayIdentity;

    /// Returns the name of the request header that carries a webhook's signature.
    fn signature_header(&self) -> &'static str;

    /// Creates an intent for an amount.
    async fn create(&self, new: &NewIntent, key: &str) -> Result<Intent, GatewayError>;

    /// Tries to pay an intent with a method, which is an opaque reference that the storefront got from the
    /// gateway's own script. `return_url` is where the gateway sends the buyer after an action. A decline is
    /// returned as an intent in [`IntentState::RequiresMethod`], not as an error.
    async fn confirm(
        &self,
        intent: &str,
        method: &str,
        return_url: Option<&str>,
        key: &str,
    ) -> Result<Intent, GatewayError>;

    /// Returns the current intent.
    async fn retrieve(&self, intent: &str) -> Result<Intent, GatewayError>;

    /// Cancels an unpaid intent. Returns the intent as it is afterwards; its state may be
    /// [`IntentState::Succeeded`].
    async fn cancel(&self, intent: &str, key: &str) -> Result<Intent, GatewayError>;

    /// Refunds a captured amount or a part of it. Returns the gateway's id of the refund.
    async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<String, GatewayError>;

    /// Checks a webhook's signature over the raw body, in constant time, and returns the event. `signature`
    /// is the value of the header named by [`PaymentGateway::signature_header`].
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
        let sandbox = GatewayIdentity::test_account("sandbox");
        assert_eq!(
            (sandbox.name(), sandbox.account(), sandbox.mode()),
            ("sandbox", "default", GatewayMode::Test)
        );
        assert_eq!(serde_json::to_string(&sandbox).unwrap(), "\"sandbox\"");
    }
}
