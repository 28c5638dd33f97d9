//! Advance: sends the buyer's choice to the gateway.

use super::{
    apply::apply,
    gateway::{GatewayError, IntentState, NewIntent, PaymentGateway},
    payable::Payables,
    payment_row::{self, Model as Payment},
    state::PaymentState,
    step::StepError,
};
use crate::platform::{
    Db, EntityId,
    access::SystemScope,
    audit,
    faults::{self, Point},
    ids::PaymentId,
    in_tx,
};

/// Sends the buyer's choice to the gateway: creates the intent if there is none, and confirms it.
pub async fn advance(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &dyn PaymentGateway,
    id: PaymentId,
) -> Result<(), StepError> {
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
    let (confirmed, refused) =
        match gateway.confirm(&intent, &method, payment.return_url.as_deref(), &key).await {
            Ok(confirmed) => (confirmed, None),
            // The buyer may have completed an earlier choice at the gateway in the meantime. In that case,
            // its outcome counts. In any case the queued choice ends here, so that the buyer can make
            // another.
            Err(GatewayError::Refused(why)) => (gateway.retrieve(&intent).await?, Some(why)),
            Err(later) => return Err(later.into()),
        };
    faults::point(Point::GatewayConfirmed).await?;
    apply(db, scope, payables, gateway.identity().as_str(), &confirmed, None).await?;
    match (refused, confirmed.state) {
        // The intent still waits for a method and refuses this one, for a reason unknown to us.
        (Some(why), IntentState::RequiresMethod | IntentState::RequiresAction) => {
            Err(GatewayError::Refused(why).into())
        }
        (Some(_), IntentState::Processing | IntentState::Succeeded | IntentState::Cancelled) | (None, _) => {
            Ok(())
        }
    }
}

async fn remember_intent(
    db: &Db,
    scope: &SystemScope,
    payment: &Payment,
    intent: &str,
) -> Result<(), StepError> {
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
