//! Polls the gateway for the state of a payment's intent, in case a webhook was lost, and applies the state.

use super::{
    apply::apply_polled,
    cancel_intent::note_ended,
    gateway::{IntentState, PaymentGateway},
    payable::Payables,
    payment_row,
    state::{PaymentEvent, PaymentState, transition},
    step::StepError,
};
use crate::platform::{Db, EntityId, access::SystemScope, ids::PaymentId, in_tx};

/// Asks the gateway for the intent of a payment, and applies any change. Does nothing for a payment that is
/// not waiting for the gateway. If the payment is cancelled but its intent is still open, cancels the intent.
///
/// Returns whether anything changed, which means that a webhook or a cancellation had been missed.
pub async fn sync(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &dyn PaymentGateway,
    id: PaymentId,
) -> Result<bool, StepError> {
    let Some(payment) = payment_row::by_id(db.reader(), id).await? else { return Ok(false) };
    let Some(intent) = payment.intent.as_deref() else { return Ok(false) };
    match payment.state {
        PaymentState::RequiresAction | PaymentState::Processing | PaymentState::Cancelled => {}
        // The payment waits for a task or for the buyer, or is complete: there is nothing to ask the gateway.
        PaymentState::Preparing | PaymentState::RequiresMethod | PaymentState::Succeeded => return Ok(false),
    }
    let mut seen = gateway.retrieve(intent).await?;
    let open = matches!(seen.state, IntentState::RequiresMethod | IntentState::RequiresAction);
    let must_cancel = open && payment.state == PaymentState::Cancelled;
    if must_cancel {
        // The first attempt to cancel used another idempotency key. With the same key, the gateway might
        // replay its stored answer instead of cancelling the intent.
        seen = gateway.cancel(intent, &format!("cancel-open:{}", id.public())).await?;
    }
    let differs =
        transition(payment.state, PaymentEvent::Mirror(seen.state)).is_ok_and(|next| next != payment.state);
    if differs {
        apply_polled(db, scope, payables, gateway.identity().as_str(), &seen).await?;
    }
    in_tx(db, scope.actor(), async |tx| match seen.state {
        IntentState::Cancelled => note_ended(tx, id).await,
        IntentState::RequiresMethod
        | IntentState::RequiresAction
        | IntentState::Processing
        | IntentState::Succeeded => payment_row::note_polled(tx, id, false).await,
    })
    .await?;
    Ok(differs || must_cancel)
}
