//! Sync: polls the gateway for the state of an intent that no webhook reported, and applies it.

use super::{
    apply::apply_asked,
    cancel_intent::note_ended,
    gateway::{IntentState, PaymentGateway},
    payable::Payables,
    payment_row,
    state::{PaymentEvent, PaymentState, transition},
    step::StepError,
};
use crate::platform::{Db, EntityId, access::SystemScope, ids::PaymentId, in_tx};

/// Asks the gateway for the intent of a payment whose outcome only the gateway knows, and applies any change.
/// If the payment was abandoned and its intent is still open, cancels the intent.
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
        // The next step is the buyer's or a task's, so there is nothing to ask the gateway.
        PaymentState::Preparing | PaymentState::RequiresMethod | PaymentState::Succeeded => return Ok(false),
    }
    let mut seen = gateway.retrieve(intent).await?;
    let open = matches!(seen.state, IntentState::RequiresMethod | IntentState::RequiresAction);
    let cancels = open && payment.state == PaymentState::Cancelled;
    if cancels {
        // This key differs from that of the first attempt to cancel, because the gateway may replay the
        // answer that it stored for the first key.
        seen = gateway.cancel(intent, &format!("cancel-open:{}", id.public())).await?;
    }
    let tells =
        transition(payment.state, PaymentEvent::Mirror(seen.state)).is_ok_and(|next| next != payment.state);
    if tells {
        apply_asked(db, scope, payables, gateway.identity().as_str(), &seen).await?;
    }
    in_tx(db, scope.actor(), async |tx| match seen.state {
        IntentState::Cancelled => note_ended(tx, id).await,
        IntentState::RequiresMethod
        | IntentState::RequiresAction
        | IntentState::Processing
        | IntentState::Succeeded => payment_row::note_asked(tx, id, false).await,
    })
    .await?;
    Ok(tells || cancels)
}
