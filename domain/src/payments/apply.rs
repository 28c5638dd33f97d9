//! Applies a gateway's report: brings a payment, and what it pays for, to the state that the gateway
//! reports.

use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use sha2::{Digest, Sha256};

use super::{
    gateway::{Intent, IntentState},
    ledger,
    payable::{LockedPayable, Payables, Settlement},
    payment_row::{self, Model as Payment},
    queue_refund,
    state::{PaymentEvent, PaymentState, transition},
    webhook,
};
use crate::platform::{
    Db, OpError, Tx,
    access::SystemScope,
    audit,
    facts::Fact,
    faults::{self, Point},
    ids::{CreatorId, ReservationId},
    in_tx, outbox,
};

/// Why a gateway's report is not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApplyRefusal {
    /// The payment does not exist, or belongs to another gateway or intent.
    #[error("no such payment")]
    UnknownPayment,
    /// The amount or the currency differs from what we requested.
    #[error("the gateway reports a different amount than was requested")]
    WrongAmount,
}

/// How we learned the state of an intent.
#[derive(Debug, Clone, Copy)]
enum IntentSource<'a> {
    /// From the answer to a call of ours that changed the intent.
    Answer,
    /// From a webhook with this event id.
    Webhook(&'a str),
    /// From polling, because no webhook had arrived.
    Polled,
}

/// Brings a payment, and what it pays for, to the state that the gateway reports. Reports may come in any
/// order and repeatedly. `event` is the id of the webhook that reported the intent, if any; it is marked as
/// applied in the same transaction.
pub async fn apply(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &str,
    intent: &Intent,
    event: Option<&str>,
) -> Result<(), OpError<ApplyRefusal>> {
    apply_report(
        db,
        scope,
        payables,
        gateway,
        intent,
        event.map_or(IntentSource::Answer, IntentSource::Webhook),
    )
    .await
}

/// Does the same as [`apply`] for an intent that was polled because no webhook had arrived.
pub(crate) async fn apply_polled(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &str,
    intent: &Intent,
) -> Result<(), OpError<ApplyRefusal>> {
    apply_report(db, scope, payables, gateway, intent, IntentSource::Polled).await
}

async fn apply_report(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &str,
    intent: &Intent,
    source: IntentSource<'_>,
) -> Result<(), OpError<ApplyRefusal>> {
    let unknown = || OpError::refuse(ApplyRefusal::UnknownPayment);
    let unlocked = payment_row::by_id(db.reader(), intent.payment).await?.ok_or_else(unknown)?;
    let payable = payables.of(&unlocked)?;
    in_tx(db, scope.actor(), async |tx| {
        let locked = payable.lock(tx, &unlocked).await?;
        faults::point(Point::ApplyGated).await?;
        let now = tx.decision_now().await?;
        let payment = payment_row::lock_of_checkout(tx, unlocked.checkout_id).await?.ok_or_else(unknown)?;
        let foreign =
            payment.gateway != gateway || payment.intent.as_ref().is_some_and(|known| *known != intent.id);
        if foreign {
            return Err(unknown());
        }
        if intent.amount != payment.amount() || intent.captured.minor > payment.amount_minor {
            return Err(OpError::refuse(ApplyRefusal::WrongAmount));
        }
        let is_answer = match source {
            IntentSource::Answer => true,
            IntentSource::Webhook(event) => {
                webhook::mark_applied(tx, gateway, event).await?;
                false
            }
            IntentSource::Polled => false,
        };
        // The buyer has chosen a means of payment, and our call to the gateway was not made yet, or its
        // answer was not applied yet. So a report that the gateway waits for the buyer is about an earlier
        // choice.
        let is_in_queue = payment.queued_at.is_some() && !is_answer;
        if is_in_queue && matches!(intent.state, IntentState::RequiresMethod | IntentState::RequiresAction) {
            return Ok(());
        }
        let repeated = payment.state == PaymentState::Succeeded;
        let Ok(next) = transition(payment.state, PaymentEvent::Mirror(intent.state)) else { return Ok(()) };
        if repeated {
            return Ok(());
        }
        PaymentChange { tx, now, locked: locked.as_ref() }.enter(payment, intent, next).await?;
        Ok(faults::point(Point::ApplyWritten).await?)
    })
    .await?;
    Ok(faults::point(Point::ApplyCommitted).await?)
}

/// The change of one payment, with its locks held.
struct PaymentChange<'a> {
    tx: &'a Tx,
    now: DateTime<Utc>,
    locked: &'a dyn LockedPayable,
}

impl PaymentChange<'_> {
    async fn enter(
        &self,
        mut payment: Payment,
        intent: &Intent,
        next: PaymentState,
    ) -> Result<(), OpError<ApplyRefusal>> {
        let (tx, now) = (self.tx, self.now);
        let hold_left_secs = payment.queued_at.and(payment.hold_left_secs);
        payment.state = next;
        payment.intent = Some(intent.id.clone());
        payment.action_url = intent.action_url.clone();
        payment.decline_code = intent.decline_code.clone();
        payment.fingerprint =
            intent.fingerprint.as_deref().map(|fingerprint| hash_of_means(&payment.gateway, fingerprint));
        payment.queued_at = None;
        payment.hold_left_secs = None;
        if next == PaymentState::Succeeded {
            payment.captured_minor = payment.amount_minor;
        }
        if intent.state == IntentState::Cancelled {
            payment.intent_ended_at = Some(tx.now());
        }
        let version = payment_row::save(tx, payment.clone()).await?;
        match intent.state {
            IntentState::Succeeded => {
                let settlement = self.locked.paid(tx, &payment, now).await?;
                settle(tx, &payment, &settlement).await?;
            }
            IntentState::Processing => self.locked.processing(tx, hold_left_secs, now).await?,
            IntentState::RequiresMethod | IntentState::RequiresAction => {
                self.locked.ended(tx, hold_left_secs, now).await?
            }
            IntentState::Cancelled => {}
        }
        let (checkout, id) = (payment.checkout_id, payment.id);
        outbox::publish(tx, version, &Fact::PaymentChanged { checkout, payment: id }).await?;
        Ok(audit::record(tx, "payment.apply", id, &["state"]).await?)
    }
}

/// Books a captured payment and allocates it to reservations. If the payment came too late or exceeds a
/// limit, queues a refund of the whole payment.
async fn settle(tx: &Tx, payment: &Payment, settlement: &Settlement) -> Result<(), DbErr> {
    let parts: Vec<(ReservationId, i64)> =
        settlement.shares.iter().map(|share| (share.reservation, share.amount_minor)).collect();
    let owed: Vec<(CreatorId, i64)> =
        settlement.shares.iter().map(|share| (share.creator, share.amount_minor)).collect();
    payment_row::allocate(tx, payment.id, &parts).await?;
    ledger::deposit_captured(tx, payment.id, payment.amount(), &owed).await?;
    match settlement.refund {
        Some(reason) => queue_refund(tx, payment, &parts, reason).await,
        None => Ok(()),
    }
}

/// Returns the hash by which we recognise a means of payment. It reveals nothing else about the means. The
/// same means has the same hash in all drops and for all buyers.
fn hash_of_means(gateway: &str, fingerprint: &str) -> Vec<u8> {
    Sha256::digest(format!("{gateway}:{fingerprint}")).to_vec()
}
