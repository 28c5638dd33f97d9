//! The sandbox: a payment gateway that moves no money, with its own intents, idempotency keys and events.
//!
//! It behaves like a remote gateway: calls are idempotent by key, outcomes arrive as signed webhooks, some of
//! them late, and one method sends the buyer to a confirmation page (`page`). [`methods`] lists the payment
//! methods and their outcomes. `delivery` sends the webhooks; [`SandboxOutcome`] is the task that runs it.
//!
//! Architecture invariant: no table of the marketplace refers to the sandbox's tables, and the sandbox reads
//! no table of the marketplace.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    payments::gateway::{
        GatewayError, GatewayEvent, GatewayIdentity, Intent, IntentState, NewIntent, PaymentGateway,
        WebhookError,
    },
    platform::{
        Db, Inconsistency, Money, Tx,
        access::Actor,
        in_tx,
        sweep::Sweep,
        tasks::{NewTask, enqueue},
    },
};
use sea_orm::DbErr;
use serde::Serialize;
use uuid::Uuid;

mod delivery;
mod event_row;
mod intent_row;
mod key_row;
pub mod methods;
mod page;
pub mod personal_data;
mod tasks;

pub use delivery::{DeliverError, Webhook};
use event_row::EventKind;
pub use intent_row::SandboxState;
use methods::MethodOutcome;
pub use page::{PageView, SettleError};
pub use tasks::SandboxOutcome;

/// The URLs, the signing key and the timing of the sandbox.
#[derive(Clone)]
pub struct SandboxSettings {
    /// The base URL at which a buyer's browser reaches this deployment; `/sandbox/confirm/…` is appended to
    /// it.
    pub public_url: String,
    /// The URL that webhooks are sent to: `…/webhooks/sandbox`, as this process reaches itself.
    pub webhook_url: String,
    /// The key that signs webhooks.
    pub webhook_secret: String,
    /// How long a late payment takes to settle.
    pub late: TimeDelta,
}

impl SandboxSettings {
    /// The default of [`late`](Self::late) in seconds: long enough for "processing" to be visible, short
    /// enough to wait for.
    pub const LATE_SECS: i64 = 20;
}

impl std::fmt::Debug for SandboxSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let urls = (&self.public_url, &self.webhook_url);
        f.debug_struct("SandboxSettings")
            .field("urls", &urls)
            .field("late", &self.late)
            .finish_non_exhaustive()
    }
}

/// The sandbox gateway.
pub struct Sandbox {
    identity: GatewayIdentity,
    db: Db,
    settings: SandboxSettings,
    http: reqwest::Client,
}

/// The reason why a call failed.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Db(#[from] DbErr),
    #[error("{0}")]
    Refused(&'static str),
}

impl From<CallError> for GatewayError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Db(error) => Self::Unavailable(error.to_string()),
            CallError::Refused(why) => Self::Refused(why.to_owned()),
        }
    }
}

/// The call that an idempotency key was used for. The same key with another call is refused.
#[derive(Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
enum KeyedCall<'a> {
    Create { payment: String, minor: i64, currency: &'static str },
    Confirm { intent: &'a str, method: &'a str, return_url: Option<&'a str> },
    Cancel { intent: &'a str },
    Refund { intent: &'a str, minor: i64, currency: &'static str },
}

const NAME: &str = "sandbox";
const ACTOR: Actor = Actor::System(NAME);
/// The header that carries a webhook's signature.
pub const SIGNATURE_HEADER: &str = "Smallrun-Signature";

impl Sandbox {
    /// Creates a sandbox that stores its state in `db`.
    pub fn new(db: Db, settings: SandboxSettings) -> Result<Self, reqwest::Error> {
        Ok(Self { identity: GatewayIdentity::test_account(NAME), db, settings, http: delivery::client()? })
    }

    /// Creates a sandbox behind an [`Arc`].
    pub fn shared(db: Db, settings: SandboxSettings) -> Result<Arc<Self>, reqwest::Error> {
        Self::new(db, settings).map(Arc::new)
    }

    fn view(&self, row: &intent_row::Model) -> Result<Intent, CallError> {
        let payment = row.reference.parse().map_err(|_| {
            DbErr::from(Inconsistency::value("sandbox_intents", "reference", row.id, &row.reference, "an id"))
        })?;
        let state = match row.state {
            SandboxState::RequiresMethod => IntentState::RequiresMethod,
            SandboxState::RequiresAction => IntentState::RequiresAction,
            SandboxState::Processing => IntentState::Processing,
            SandboxState::Succeeded => IntentState::Succeeded,
            SandboxState::Cancelled => IntentState::Cancelled,
        };
        let action_url = (row.state == SandboxState::RequiresAction).then(|| {
            format!("{}/sandbox/confirm/{}", self.settings.public_url.trim_end_matches('/'), row.secret)
        });
        Ok(Intent {
            id: intent_row::public_id(row.id),
            payment,
            state,
            amount: Money::new(row.amount_minor, row.currency),
            captured: Money::new(row.captured_minor, row.currency),
            action_url,
            decline_code: row.decline_code.clone(),
            fingerprint: row.method.as_deref().and_then(methods::fingerprint).map(str::to_owned),
        })
    }

    async fn create_in(&self, tx: &Tx, new: &NewIntent, key: &str) -> Result<intent_row::Model, CallError> {
        let (payment, minor, currency) =
            (new.payment.to_string(), new.amount.minor, new.amount.currency.code());
        let input = KeyedCall::Create { payment, minor, currency };
        if let Some(answer) = key_row::claim(tx, key, &input).await? {
            return Ok(answer);
        }
        if new.amount.minor <= 0 {
            return Err(CallError::Refused("the amount must be positive"));
        }
        let row = intent_row::insert(tx, new.payment, new.amount).await?;
        key_row::keep(tx, key, &input, &row).await?;
        Ok(row)
    }

    async fn confirm_in(
        &self,
        tx: &Tx,
        intent: &str,
        method: &str,
        return_url: Option<&str>,
        key: &str,
    ) -> Result<intent_row::Model, CallError> {
        let input = KeyedCall::Confirm { intent, method, return_url };
        if let Some(answer) = key_row::claim(tx, key, &input).await? {
            return Ok(answer);
        }
        let mut row = locked(tx, intent).await?;
        match row.state {
            SandboxState::RequiresMethod | SandboxState::RequiresAction => {}
            SandboxState::Processing => return Err(CallError::Refused("the payment is being processed")),
            SandboxState::Succeeded => return Err(CallError::Refused("the payment has succeeded")),
            SandboxState::Cancelled => return Err(CallError::Refused("the payment was cancelled")),
        }
        if return_url.is_some_and(|url| !page::may_return_to(url)) {
            return Err(CallError::Refused("the return URL must be an http or https URL"));
        }
        row.method = Some(method.to_owned());
        row.return_url = return_url.map(ToOwned::to_owned);
        match methods::outcome(method) {
            MethodOutcome::Pays => pays(tx, &mut row).await?,
            MethodOutcome::Declines(code) => declines(tx, &mut row, code).await?,
            MethodOutcome::Asks => {
                row.state = SandboxState::RequiresAction;
                row.decline_code = None;
                happened(tx, &row, EventKind::RequiresAction, tx.now()).await?;
            }
            MethodOutcome::PaysLate | MethodOutcome::DeclinesLate(_) => {
                let settles_at = tx.now().checked_add_signed(self.settings.late).unwrap_or(tx.now());
                row.state = SandboxState::Processing;
                row.decline_code = None;
                row.settles_at = Some(settles_at);
                happened(tx, &row, EventKind::Processing, tx.now()).await?;
                happened(tx, &row, EventKind::Settled, settles_at).await?;
            }
        }
        intent_row::update(tx, &row).await?;
        key_row::keep(tx, key, &input, &row).await?;
        Ok(row)
    }

    async fn cancel_in(&self, tx: &Tx, intent: &str, key: &str) -> Result<intent_row::Model, CallError> {
        let input = KeyedCall::Cancel { intent };
        if let Some(answer) = key_row::claim(tx, key, &input).await? {
            return Ok(answer);
        }
        let mut row = locked(tx, intent).await?;
        match row.state {
            SandboxState::RequiresMethod | SandboxState::RequiresAction => {
                row.state = SandboxState::Cancelled;
                intent_row::update(tx, &row).await?;
                happened(tx, &row, EventKind::Cancelled, tx.now()).await?;
            }
            // A payment in processing cannot be cancelled now. The key is freed, so that the same call can
            // cancel the intent after a late decline.
            SandboxState::Processing => {
                key_row::forget(tx, key).await?;
                return Ok(row);
            }
            SandboxState::Succeeded | SandboxState::Cancelled => {}
        }
        key_row::keep(tx, key, &input, &row).await?;
        Ok(row)
    }

    async fn refund_in(&self, tx: &Tx, intent: &str, amount: Money, key: &str) -> Result<String, CallError> {
        let input = KeyedCall::Refund { intent, minor: amount.minor, currency: amount.currency.code() };
        if let Some(answer) = key_row::claim(tx, key, &input).await? {
            return Ok(answer);
        }
        let mut row = locked(tx, intent).await?;
        if amount.currency != row.currency {
            return Err(CallError::Refused("the refund must be in the currency of the payment"));
        }
        let refunded = row.refunded_minor.checked_add(amount.minor);
        match refunded.filter(|refunded| amount.minor > 0 && *refunded <= row.captured_minor) {
            Some(refunded) => row.refunded_minor = refunded,
            None => {
                return Err(CallError::Refused("the refund must be positive and within the captured amount"));
            }
        }
        intent_row::update(tx, &row).await?;
        happened(tx, &row, EventKind::Refunded, tx.now()).await?;
        let refund = format!("sbxr_{}", tx.entropy().uuid(tx.now()).simple());
        key_row::keep(tx, key, &input, &refund).await?;
        Ok(refund)
    }
}

/// Locks an intent until the end of the transaction.
async fn locked(tx: &Tx, intent: &str) -> Result<intent_row::Model, CallError> {
    let id = intent_row::parse_id(intent).ok_or(CallError::Refused("no such intent"))?;
    intent_row::lock(tx, id).await?.ok_or(CallError::Refused("no such intent"))
}

async fn pays(tx: &Tx, row: &mut intent_row::Model) -> Result<(), DbErr> {
    row.state = SandboxState::Succeeded;
    row.captured_minor = row.amount_minor;
    row.decline_code = None;
    row.settles_at = None;
    happened(tx, row, EventKind::Succeeded, tx.now()).await
}

async fn declines(tx: &Tx, row: &mut intent_row::Model, code: &str) -> Result<(), DbErr> {
    row.state = SandboxState::RequiresMethod;
    row.decline_code = Some(code.to_owned());
    row.settles_at = None;
    happened(tx, row, EventKind::Declined, tx.now()).await
}

/// Records an event and queues its task for `run_at`: the delivery of the webhook or the settlement of a late
/// payment.
async fn happened(
    tx: &Tx,
    row: &intent_row::Model,
    kind: EventKind,
    run_at: DateTime<Utc>,
) -> Result<(), DbErr> {
    let event: Uuid = event_row::insert(tx, row.id, kind).await?;
    enqueue(tx, NewTask::from(SandboxOutcome { event }).at(run_at)).await
}

/// How long idempotency keys and events are kept, in days: somewhat longer than any task that calls the
/// sandbox is retried.
const KEPT_DAYS: i64 = 30;

#[async_trait]
impl Sweep for Sandbox {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn sweep(&self) -> Result<u64, DbErr> {
        in_tx(&self.db, ACTOR, async |tx| {
            let before = tx.now().checked_sub_signed(TimeDelta::days(KEPT_DAYS)).unwrap_or(tx.now());
            let keys = key_row::sweep(tx, before).await?;
            Ok(keys.saturating_add(event_row::sweep(tx, before).await?))
        })
        .await
    }
}

#[async_trait]
impl PaymentGateway for Sandbox {
    fn identity(&self) -> &GatewayIdentity {
        &self.identity
    }

    fn signature_header(&self) -> &'static str {
        SIGNATURE_HEADER
    }

    async fn create(&self, new: &NewIntent, key: &str) -> Result<Intent, GatewayError> {
        let row = in_tx(&self.db, ACTOR, async |tx| self.create_in(tx, new, key).await).await?;
        Ok(self.view(&row)?)
    }

    async fn confirm(
        &self,
        intent: &str,
        method: &str,
        return_url: Option<&str>,
        key: &str,
    ) -> Result<Intent, GatewayError> {
        let row =
            in_tx(&self.db, ACTOR, async |tx| self.confirm_in(tx, intent, method, return_url, key).await)
                .await?;
        Ok(self.view(&row)?)
    }

    async fn retrieve(&self, intent: &str) -> Result<Intent, GatewayError> {
        let id = intent_row::parse_id(intent).ok_or(CallError::Refused("no such intent"))?;
        let row = intent_row::by_id(&self.db, id).await.map_err(CallError::Db)?;
        Ok(self.view(&row.ok_or(CallError::Refused("no such intent"))?)?)
    }

    async fn cancel(&self, intent: &str, key: &str) -> Result<Intent, GatewayError> {
        let row = in_tx(&self.db, ACTOR, async |tx| self.cancel_in(tx, intent, key).await).await?;
        Ok(self.view(&row)?)
    }

    async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<String, GatewayError> {
        Ok(in_tx(&self.db, ACTOR, async |tx| self.refund_in(tx, intent, amount, key).await).await?)
    }

    fn verify_webhook(&self, signature: Option<&str>, body: &[u8]) -> Result<GatewayEvent, WebhookError> {
        let secret = self.settings.webhook_secret.as_bytes();
        if !signature.is_some_and(|header| crate::signature::is_right(secret, self.db.now(), header, body)) {
            return Err(WebhookError::BadSignature);
        }
        let webhook: Webhook = serde_json::from_slice(body).map_err(|_| WebhookError::Malformed)?;
        // Refunds are answered synchronously, so their webhooks carry no new information.
        let concerns_us = webhook.kind.starts_with("payment.");
        Ok(GatewayEvent { id: webhook.id, intent: concerns_us.then_some(webhook.intent) })
    }
}
