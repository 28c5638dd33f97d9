//! Pay: records the method that the buyer chose for a checkout's deposit. A task calls the gateway.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::Serialize;

use super::{checkout_row, extend::extend, reservation_row, state::ReservationState};
use crate::{
    drops::gate,
    payments::{
        self, Choice, ChooseRefusal,
        gateway::GatewayIdentity,
        method::{PaymentMethod, ReturnUrl},
    },
    platform::{
        Db, EntityId, OpError,
        access::BuyerScope,
        audit,
        faults::{self, Point},
        idempotency::{self, Claim, IdempotencyKey},
        ids::{CheckoutId, DropId, PaymentId},
        in_tx,
    },
};

/// The maximum time, in seconds, that a choice may wait in our own queue without counting against the hold.
pub const QUEUE_SECS_MAX: i64 = 300;

/// A request to pay the deposit of a checkout.
#[derive(Debug, Clone, Serialize)]
pub struct PayRequest {
    /// The checkout.
    pub checkout: CheckoutId,
    /// The method of payment.
    pub method: PaymentMethod,
    /// Where the gateway sends the buyer afterwards.
    pub return_url: Option<ReturnUrl>,
    /// The gateway for the payment. It is ignored if the payment already has an intent at another gateway.
    pub gateway: GatewayIdentity,
    /// The idempotency key: a retry with the same key has no further effect.
    #[serde(skip)]
    pub key: IdempotencyKey,
}

/// Why a payment is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayRefusal {
    /// The buyer has no such checkout.
    #[error("not found")]
    NotFound,
    /// The hold expired or was cancelled.
    #[error("the reservation has ended; reserve again")]
    HoldOver,
    /// The deposit is already paid.
    #[error("the deposit is already paid")]
    AlreadyPaid,
    /// A payment is being processed; its outcome must be known first.
    #[error("a payment is being processed; wait for its outcome")]
    PaymentInProcess,
    /// The idempotency key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
}

impl From<ChooseRefusal> for PayRefusal {
    fn from(refusal: ChooseRefusal) -> Self {
        match refusal {
            ChooseRefusal::AlreadyPaid => Self::AlreadyPaid,
            ChooseRefusal::InProcess => Self::PaymentInProcess,
            ChooseRefusal::Over => Self::HoldOver,
        }
    }
}

/// Records the buyer's choice of a method and queues the call to the gateway, oldest hold first. The time in
/// our own queue does not count against the hold, for up to [`QUEUE_SECS_MAX`] seconds.
///
/// Returns the payment, and whether an earlier call with the same key recorded the choice.
pub async fn pay(
    db: &Db,
    scope: &BuyerScope,
    request: &PayRequest,
) -> Result<(PaymentId, bool), OpError<PayRefusal>> {
    let unknown = || OpError::refuse_field(PayRefusal::NotFound, "checkoutId");
    let checkout = checkout_row::own(db.reader(), scope, request.checkout).await?.ok_or_else(unknown)?;
    let lines = reservation_row::of_checkouts(db.reader(), &[checkout.id]).await?;
    let drops: BTreeSet<DropId> = lines.iter().map(|line| line.drop_id).collect();
    let noted = in_tx(db, scope.actor(), async |tx| {
        let claim =
            idempotency::claim(tx, scope.actor(), "checkout.pay", &request.key, request, checkout.id.uuid())
                .await?;
        if claim == Claim::Mismatch {
            return Err(OpError::refuse_field(PayRefusal::KeyReused, "idempotencyKey"));
        }
        faults::point(Point::PayKeyed).await?;
        gate::take(tx, &drops).await?;
        faults::point(Point::PayGated).await?;
        let now = tx.decision_now().await?;
        let payment = payments::lock_of_checkout(tx, checkout.id).await?;
        let payment = payment.ok_or_else(|| OpError::inconsistent("a checkout without a payment"))?;
        let id = payment.id;
        if claim != Claim::Fresh {
            return Ok((id, true));
        }
        payment.may_choose().map_err(|why| OpError::refuse(why.into()))?;
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout.id]).await?;
        let held =
            |line: &reservation_row::Model| line.state == ReservationState::Held && line.expires_at > now;
        if !lines.iter().all(held) {
            return Err(OpError::refuse(PayRefusal::HoldOver));
        }
        let ends = lines.iter().map(|line| line.expires_at).min().unwrap_or(now);
        let choice = Choice {
            gateway: request.gateway.clone(),
            method: request.method.clone(),
            return_url: request.return_url.clone(),
            hold_left_secs: ends.signed_duration_since(now).num_seconds().max(1),
        };
        payments::choose(tx, payment, choice, now).await?;
        let expires_at = ends.checked_add_signed(TimeDelta::seconds(QUEUE_SECS_MAX)).unwrap_or(ends);
        extend(tx, checkout.id, expires_at, false).await?;
        audit::record(tx, "checkout.pay", checkout.id, &["method"]).await?;
        faults::point(Point::PayWritten).await?;
        Ok((id, false))
    })
    .await?;
    faults::point(Point::PayCommitted).await?;
    Ok(noted)
}
