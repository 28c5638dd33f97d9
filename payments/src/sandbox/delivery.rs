//! What the sandbox does in its own time: late payments settle, and webhooks go out.

use std::time::Duration;

use domain::platform::in_tx;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    ACTOR, SIGNATURE_HEADER, Sandbox, SandboxState, declines,
    event_row::{self, EventKind},
    intent_row,
    methods::{Outcome, outcome},
    pays,
};
use crate::signature;

/// The body of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The event's id: the same when it is delivered twice.
    pub id: String,
    /// What happened, such as `payment.succeeded`.
    pub kind: String,
    /// The intent it happened to.
    pub intent: String,
}

/// Why an event did not go out.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// It may go later.
    #[error("the webhook did not go out: {0}")]
    Later(String),
    /// There is no such event.
    #[error("the sandbox knows no such event")]
    Unknown,
}

impl From<DbErr> for DeliverError {
    fn from(error: DbErr) -> Self {
        Self::Later(error.to_string())
    }
}

/// How long a receiver may take; gateways give some ten seconds.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that talks to this deployment only: no proxy, no redirects.
pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder().timeout(TIMEOUT).no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

impl Sandbox {
    /// Does what an event stands for: settles a late payment, or sends the webhook. May be called
    /// again for the same event with no more effect than a second webhook of the same id.
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
                Outcome::DeclinesLate(code) | Outcome::Declines(code) => {
                    declines(tx, &mut intent, code).await?
                }
                Outcome::PaysLate | Outcome::Pays | Outcome::Asks => pays(tx, &mut intent).await?,
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
