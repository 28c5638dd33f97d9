//! Sync: the gateway is asked where an intent stands of which nothing was heard, and that is applied.

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

/// Asks the gateway about a payment whose outcome is its to tell, and applies what is new. The intent of a
/// payment that was given up is cancelled if it is open. Answers whether there was anything new: something
/// had been missed then.
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
        // Nobody but the buyer, or a task, can say how it goes on.
        PaymentState::Preparing | PaymentState::RequiresMethod | PaymentState::Succeeded => return Ok(false),
    }
    let mut seen = gateway.retrieve(intent).await?;
    let open = matches!(seen.state, IntentState::RequiresMethod | IntentState::RequiresAction);
    let cancels = open && payment.state == PaymentState::Cancelled;
    if cancels {
        // Not with the key of the first attempt to cancel: what that was answered may be kept by the gateway.
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
