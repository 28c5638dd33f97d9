//! Cancel intent: cancels the gateway's intent of an abandoned payment.

use sea_orm::DbErr;

use super::{
    apply::apply,
    gateway::{IntentState, PaymentGateway},
    payable::Payables,
    payment_row,
    state::PaymentState,
    step::StepError,
};
use crate::platform::{
    Db, EntityId, Tx,
    access::SystemScope,
    audit,
    faults::{self, Point},
    ids::PaymentId,
    in_tx,
};

/// Cancels the intent of a payment that is no longer wanted. If the intent has succeeded after all, applies
/// that.
pub async fn cancel_intent(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &dyn PaymentGateway,
    id: PaymentId,
) -> Result<(), StepError> {
    let Some(payment) = payment_row::by_id(db.reader(), id).await? else { return Ok(()) };
    let Some(intent) = payment.intent.as_deref() else { return Ok(()) };
    let ended = gateway.cancel(intent, &format!("cancel:{}", id.public())).await?;
    faults::point(Point::GatewayCancelled).await?;
    if ended.state != IntentState::Cancelled || payment.state != PaymentState::Cancelled {
        apply(db, scope, payables, gateway.identity().as_str(), &ended, None).await?;
    }
    if ended.state == IntentState::Cancelled {
        in_tx(db, scope.actor(), async |tx| note_ended(tx, id).await).await?;
    }
    Ok(())
}

/// Records that the gateway has cancelled the intent of a payment, so that the gateway is not polled for it
/// again.
pub(super) async fn note_ended(tx: &Tx, id: PaymentId) -> Result<(), DbErr> {
    payment_row::note_polled(tx, id, true).await?;
    audit::record(tx, "payment.end_intent", id, &["intent_ended_at"]).await
}
