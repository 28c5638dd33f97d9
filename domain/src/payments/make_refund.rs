//! Make refund: asks the gateway for a refund and books it.

use super::{
    apply::ApplyRefusal,
    gateway::{GatewayError, PaymentGateway},
    ledger,
    payable::Payables,
    payment_row::{self, Model as Payment, RefundState},
    step::StepError,
};
use crate::platform::{
    Db, EntityId, Inconsistency, Money, OpError, Tx,
    access::SystemScope,
    audit,
    facts::Fact,
    faults::{self, Point},
    ids::{CreatorId, RefundId},
    in_tx, outbox,
};

/// Asks the gateway for a refund and books it in the ledger. If the gateway refuses, marks the refund as
/// failed.
pub async fn make_refund(
    db: &Db,
    scope: &SystemScope,
    payables: &Payables,
    gateway: &dyn PaymentGateway,
    id: RefundId,
) -> Result<(), StepError> {
    let Some(refund) = payment_row::refund(db.reader(), id).await? else { return Ok(()) };
    if refund.state != RefundState::Pending {
        return Ok(());
    }
    let payment = payment_row::by_id(db.reader(), refund.payment_id).await?;
    let payment = payment.ok_or_else(|| StepError::Contradiction("a refund without a payment".to_owned()))?;
    let intent = payment
        .intent
        .clone()
        .ok_or_else(|| StepError::Contradiction("a refund of a payment without an intent".to_owned()))?;
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
        let parts = refunded_parts(tx, payables, &locked, id).await?;
        locked.refunded_minor = locked.refunded_minor.saturating_add(amount.minor);
        let (checkout, payment_id) = (locked.checkout_id, locked.id);
        let version = payment_row::save(tx, locked).await?;
        ledger::deposit_refunded(tx, payment_id, amount, &parts).await?;
        outbox::publish(tx, version, &Fact::PaymentChanged { checkout, payment: payment_id }).await?;
        Ok::<_, StepError>(audit::record(tx, "refund.book", id, &["state"]).await?)
    })
    .await?;
    Ok(faults::point(Point::GatewayRefundBooked).await?)
}

/// Returns how much of a refund belongs to each creator.
async fn refunded_parts(
    tx: &Tx,
    payables: &Payables,
    payment: &Payment,
    refund: RefundId,
) -> Result<Vec<(CreatorId, i64)>, OpError<ApplyRefusal>> {
    let parts = payment_row::refund_parts(tx.conn(), refund).await?;
    let ids: Vec<_> = parts.iter().map(|part| part.reservation_id).collect();
    let creators = payables.of(payment)?.creators_of(tx, &ids).await?;
    let creator_of = |id| {
        let found = creators.iter().find(|(reservation, _)| *reservation == id);
        found.map(|(_, creator)| *creator).ok_or_else(|| Inconsistency::missing("reservations", id))
    };
    // A part that is left out would leave the ledger's movement unbalanced.
    let parts = parts.iter().map(|part| Ok((creator_of(part.reservation_id)?, part.amount_minor)));
    parts.collect::<Result<_, Inconsistency>>().map_err(OpError::Inconsistent)
}
