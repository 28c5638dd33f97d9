//! The sandbox's background work: it settles late payments and sends webhooks.

use std::time::Duration;

use domain::platform::in_tx;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ACTOR, SIGNATURE_HEADER, Sandbox, SandboxState, declines,
    event_row::{self, EventKind},
    intent_row,
    methods::{MethodOutcome, outcome},
    pays,
};
use crate::signature;

/// The body of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The id of the event. It is the same in every delivery of the event.
    pub id: String,
    /// What happened, such as `payment.succeeded`.
    pub kind: String,
    /// The public id of the intent that the event is about.
    pub intent: String,
}

/// The reason why an event was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// A later attempt may succeed.
    #[error("the webhook was not delivered: {0}")]
    Later(String),
    /// There is no such event.
    #[error("the sandbox has no such event")]
    Unknown,
}

impl From<DbErr> for DeliverError {
    fn from(error: DbErr) -> Self {
        Self::Later(error.to_string())
    }
}

/// The timeout of a delivery. Gateways usually wait some ten seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Creates a client that talks to this deployment only: no proxy, no redirects.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

impl Sandbox {
    /// Settles a late payment or sends a webhook, depending on the kind of the event. A repeated call for the
    /// same event has no effect beyond a second webhook with the same id.
    pub async fn deliver(&self, event: Uuid) -> Result<(), DeliverError> {
        let webhook = in_tx(&self.db, ACTOR, async |tx| {
            let row = event_row::by_id(tx, event).await?.ok_or(DeliverError::Unknown)?;
            if row.kind != EventKind::Settled {
                let id = format!("sbxe_{}", row.id.simple());
                return Ok(Some(Webhook {
                    id,
                    kind: row.kind.name(),
                    intent: intent_row::public_id(row.intent_id),
                }));
            }
            let mut intent = intent_row::lock(tx, row.intent_id).await?.ok_or(DeliverError::Unknown)?;
            if intent.state != SandboxState::Processing {
                return Ok(None);
            }
            if intent.settles_at.is_some_and(|settles_at| settles_at > tx.now()) {
                return Err(DeliverError::Later("the payment is still being processed".to_owned()));
            }
            match outcome(intent.method.as_deref().unwrap_or_default()) {
                MethodOutcome::DeclinesLate(code) | MethodOutcome::Declines(code) => {
                    declines(tx, &mut intent, code).await?
                }
                MethodOutcome::PaysLate | MethodOutcome::Pays | MethodOutcome::Asks => {
                    pays(tx, &mut intent).await?
                }
            }
            intent_row::update(tx, &intent).await?;
            Ok::<_, DeliverError>(None)
        })
        .await?;
        match webhook {
            Some(webhook) => self.post(&webhook).await,
            None => Ok(()),
        }
    }

    async fn post(&self, webhook: &Webhook) -> Result<(), DeliverError> {
        let later = |error: &dyn std::fmt::Display| DeliverError::Later(error.to_string());
        let body = serde_json::to_vec(webhook).map_err(|error| later(&error))?;
        let signature = signature::sign(self.settings.webhook_secret.as_bytes(), self.db.now(), &body);
        let request = self.http.post(&self.settings.webhook_url).header(SIGNATURE_HEADER, signature);
        let answer = request.header("Content-Type", "application/json").body(body).send().await;
        let status = answer.map_err(|error| later(&error.without_url()))?.status();
        if status.is_success() { Ok(()) } else { Err(later(&format_args!("the receiver answered {status}"))) }
    }
}
