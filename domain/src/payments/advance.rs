//! What the tasks do at the gateway: make and confirm an intent, cancel it, give money back.
//!
//! No call is made while a transaction is open; each carries a key that is derived from stored rows,
//! so that a repetition after a crash is recognised by the gateway.

use sea_orm::DbErr;

use super::{
    apply::{ApplyRefusal, apply},
    gateway::{GatewayError, IntentState, NewIntent, PaymentGateway},
    ledger,
    payment_row::{self, Model as Payment, RefundState},
    state::PaymentState,
};
use crate::{
    platform::{
        Db, EntityId, Money, OpError, Tx,
        access::SystemScope,
        audit,
        facts::Fact,
        faults::{self, Point},
        ids::{CreatorId, PaymentId, RefundId},
        in_tx, outbox,
    },
    reservations::reservation_row,
};

/// Why a step at the gateway did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The gateway may answer later: try again with the same key.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbErr),
    /// What the gateway says does not fit what we know: a person must look.
    #[error("the gateway and we disagree: {0}")]
    Disagree(String),
}

impl From<OpError<ApplyRefusal>> for StepError {
    fn from(error: OpError<ApplyRefusal>) -> Self {
        match error {
            OpError::Db(error) => Self::Db(error),
            busy @ OpError::Busy(_) => Self::Db(DbErr::Custom(busy.to_string())),
            OpError::Refused(why) => Self::Disagree(format!("{why:?}")),
            OpError::Inconsistent(what) => Self::Disagree(what.to_string()),
        }
    }
}

/// Tells the gateway of the buyer's choice: makes the intent if there is none, and confirms it.
pub async fn advance(db: &Db, gateway: &dyn PaymentGateway, scope: &SystemScope, id: PaymentId) -> Result<(), StepError> {
    let Some(payment) = payment_row::by_id(db.reader(), id).await? else { return Ok(()) };
    if payment.state != PaymentState::Preparing || payment.queued_at.is_none() {
        return Ok(());
    }
    let Some(method) = payment.method.clone() else { return Ok(()) };
    let intent = match payment.intent.clone() {
        Some(intent) => intent,
        None => {
            let new = NewIntent { payment: id, amount: payment.amount() };
            let made = gateway.create(&new, &format!("create:{}", id.public())).await?;
            faults::point(Point::GatewayIntentMade).await?;
            remember_intent(db, scope, &payment, &made.id).await?;
            faults::point(Point::GatewayIntentRemembered).await?;
            made.id
        }
    };
    let key = format!("confirm:{}:{}", id.public(), payment.attempt);
    let (confirmed, refused) = match gateway.confirm(&intent, &method, payment.return_url.as_deref(), &key).await {
        Ok(confirmed) => (confirmed, None),
        // Perhaps the buyer has meanwhile confirmed an earlier choice where the gateway asked for it: what came of that
        // counts. In any case the choice waits no longer, so that the buyer can make another.
        Err(GatewayError::Refused(why)) => (gateway.retrieve(&intent).await?, Some(why)),
        Err(later) => return Err(later.into()),
    };
    faults::point(Point::GatewayConfirmed).await?;
    apply(db, scope, gateway.name(), &confirmed, None).await?;
    match (refused, confirmed.state) {
        // It waits for a method and will not have this one: nobody here knows why.
        (Some(why), IntentState::RequiresMethod | IntentState::RequiresAction) => Err(GatewayError::Refused(why).into()),
        (Some(_), IntentState::Processing | IntentState::Succeeded | IntentState::Cancelled) | (None, _) => Ok(()),
    }
}

async fn remember_intent(db: &Db, scope: &SystemScope, payment: &Payment, intent: &str) -> Result<(), StepError> {
    in_tx(db, scope.actor(), async |tx| {
        let locked = payment_row::lock_of_checkout(tx, payment.checkout_id).await?;
        let Some(mut locked) = locked else { return Ok(()) };
        if locked.intent.is_none() {
            locked.intent = Some(intent.to_owned());
            payment_row::save(tx, locked).await?;
            audit::record(tx, "payment.make_intent", payment.id, &["intent"]).await?;
        }
        Ok(())
    })
    .await
}

/// Cancels the intent of a payment that is no longer wanted; if it succeeded after all, that is applied.
pub async fn cancel(db: &Db, gateway: &dyn PaymentGateway, scope: &SystemScope, id: PaymentId) -> Result<(), StepError> {
    let Some(payment) = payment_row::by_id(db.reader(), id).await? else { return Ok(()) };
    let Some(intent) = payment.intent.as_deref() else { return Ok(()) };
    let ended = gateway.cancel(intent, &format!("cancel:{}", id.public())).await?;
    faults::point(Point::GatewayCancelled).await?;
    if ended.state != IntentState::Cancelled || payment.state != PaymentState::Cancelled {
        apply(db, scope, gateway.name(), &ended, None).await?;
    }
    if ended.state == IntentState::Cancelled {
        in_tx(db, scope.actor(), async |tx| note_ended(tx, id).await).await?;
    }
    Ok(())
}

/// Notes that the gateway has cancelled the intent of a payment, so that nobody need ask again.
pub(super) async fn note_ended(tx: &Tx, id: PaymentId) -> Result<(), DbErr> {
    payment_row::note_asked(tx, id, true).await?;
    audit::record(tx, "payment.end_intent", id, &["intent_ended_at"]).await
}

/// Asks the gateway for a refund, and books it.
pub async fn refund(db: &Db, gateway: &dyn PaymentGateway, scope: &SystemScope, id: RefundId) -> Result<(), StepError> {
    let Some(refund) = payment_row::refund(db.reader(), id).await? else { return Ok(()) };
    if refund.state != RefundState::Pending {
        return Ok(());
    }
    let payment = payment_row::by_id(db.reader(), refund.payment_id).await?;
    let payment = payment.ok_or_else(|| StepError::Disagree("a refund without a payment".to_owned()))?;
    let intent = payment.intent.clone().ok_or_else(|| StepError::Disagree("a refund of a payment without an intent".to_owned()))?;
    let amount = Money::new(refund.amount_minor, refund.currency);
    let answer = match gateway.refund(&intent, amount, &format!("refund:{}", id.public())).await {
        Ok(answer) => answer,
        Err(GatewayError::Refused(why)) => {
            in_tx(db, scope.actor(), async |tx| {
                payment_row::end_refund(tx, id, RefundState::Failed, None).await?;
                audit::record(tx, "refund.fail", id, &["state"]).await
            })
            .await?;
            return Err(GatewayError::Refused(why).into());
        }
        Err(later) => return Err(later.into()),
    };
    faults::point(Point::GatewayRefundMade).await?;
    in_tx(db, scope.actor(), async |tx| {
        let locked = payment_row::lock_of_checkout(tx, payment.checkout_id).await?;
        let Some(mut locked) = locked else { return Ok(()) };
        if !payment_row::end_refund(tx, id, RefundState::Done, Some(&answer)).await? {
            return Ok(());
        }
        locked.refunded_minor = locked.refunded_minor.saturating_add(amount.minor);
        let (checkout, payment_id) = (locked.checkout_id, locked.id);
        let version = payment_row::save(tx, locked).await?;
        ledger::deposit_refunded(tx, payment_id, amount, &refunded_parts(tx, id).await?).await?;
        outbox::publish(tx, version, &Fact::PaymentChanged { checkout, payment: payment_id }).await?;
        audit::record(tx, "refund.book", id, &["state"]).await
    })
    .await?;
    Ok(faults::point(Point::GatewayRefundBooked).await?)
}

/// Whose deposits a refund gives back.
async fn refunded_parts(tx: &Tx, refund: RefundId) -> Result<Vec<(CreatorId, i64)>, DbErr> {
    let parts = payment_row::refund_parts(tx.conn(), refund).await?;
    let ids: Vec<_> = parts.iter().map(|part| part.reservation_id).collect();
    let lines = reservation_row::by_ids(tx.conn(), &ids).await?;
    let creator_of = |id| lines.iter().find(|line| line.id == id).map(|line| line.creator_id);
    Ok(parts.iter().filter_map(|part| Some((creator_of(part.reservation_id)?, part.amount_minor))).collect())
}
