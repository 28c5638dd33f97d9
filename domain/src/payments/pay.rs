//! Pay: the buyer chooses a method, and the gateway is told by a task.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::Serialize;

use super::{
    gateway::GatewayIdentity,
    payment_row,
    state::{PaymentEvent, PaymentState, transition},
};
use crate::{
    drops::gate,
    platform::{
        Db, EntityId, OpError,
        access::BuyerScope,
        audit,
        facts::Fact,
        faults::{self, Point},
        idempotency::{self, Claim, IdempotencyKey},
        ids::{CheckoutId, DropId, PaymentId},
        in_tx, outbox,
        tasks::{self, NewTask, Task},
        timers::{self, TimerKind},
    },
    reservations::{checkout_row, reservation_row, state::ReservationState},
};

/// How long a choice may wait in our own queue without the hold running off.
pub const QUEUE_SECS_MAX: i64 = 300;
/// Payments come before refunds when the gateway's budget is short.
pub(crate) const URGENCY_PAYMENT: i32 = 0;
/// Refunds come after payments.
pub(crate) const URGENCY_REFUND: i32 = 1;

/// An opaque reference to a method of payment, as the gateway's own script made it: 3 to 200 plain characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PaymentMethod(String);

impl PaymentMethod {
    /// Reads a reference; `None` when it is none.
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        ((3..=200).contains(&text.len()) && plain).then(|| Self(text.to_owned()))
    }
}

/// Where the buyer comes back to after an action: an `https` address, or `http` on this machine, without credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReturnUrl(String);

impl ReturnUrl {
    /// Reads an address; `None` when it may not be returned to.
    pub fn new(text: &str) -> Option<Self> {
        let plain = text.len() <= 1_000 && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte));
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let local = matches!(host, "localhost" | "127.0.0.1");
        let allowed = scheme == "https" || (scheme == "http" && local);
        (plain && allowed && !host.is_empty() && !authority.contains('@')).then(|| Self(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request to pay what is due now.
#[derive(Debug, Clone, Serialize)]
pub struct PayRequest {
    /// What for.
    pub checkout: CheckoutId,
    /// How.
    pub method: PaymentMethod,
    /// Where to come back to.
    pub return_url: Option<ReturnUrl>,
    /// Which gateway takes it, unless another one has the payment already.
    pub gateway: GatewayIdentity,
    /// Makes a repetition harmless.
    #[serde(skip)]
    pub key: IdempotencyKey,
}

/// Why nothing is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayRefusal {
    /// No such checkout of this buyer.
    #[error("not found")]
    NotFound,
    /// The hold ran out, or was given up.
    #[error("the hold is over; reserve again")]
    HoldOver,
    /// The deposit is paid.
    #[error("the deposit is paid already")]
    AlreadyPaid,
    /// A payment is being processed: its outcome must be known first.
    #[error("a payment is being processed; wait for its outcome")]
    PaymentInProcess,
    /// The key was used for another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
}

/// Notes the buyer's choice and queues the call to the gateway, oldest hold first. The time that the
/// choice waits in our queue does not run off the hold. Answers the payment and whether an earlier
/// call with the same key did it.
pub async fn pay(db: &Db, scope: &BuyerScope, request: &PayRequest) -> Result<(PaymentId, bool), OpError<PayRefusal>> {
    let unknown = || OpError::refuse_field(PayRefusal::NotFound, "checkoutId");
    let checkout = checkout_row::own(db.reader(), scope, request.checkout).await?.ok_or_else(unknown)?;
    let lines = reservation_row::of_checkouts(db.reader(), &[checkout.id]).await?;
    let drops: Vec<DropId> = lines.iter().map(|line| line.drop_id).collect::<BTreeSet<_>>().into_iter().collect();
    let noted = in_tx(db, scope.actor(), async |tx| {
        let claim = idempotency::claim(tx, scope.actor(), "checkout.pay", &request.key, request, checkout.id.uuid()).await?;
        if claim == Claim::Mismatch {
            return Err(OpError::refuse_field(PayRefusal::KeyReused, "idempotencyKey"));
        }
        faults::point(Point::PayKeyed).await?;
        gate::take(tx, &drops).await?;
        faults::point(Point::PayGated).await?;
        let now = tx.decision_now().await?;
        let payment = payment_row::lock_of_checkout(tx, checkout.id).await?;
        let mut payment = payment.ok_or_else(|| OpError::inconsistent("a checkout without a payment"))?;
        let id = payment.id;
        if claim != Claim::Fresh {
            return Ok((id, true));
        }
        match payment.state {
            PaymentState::Succeeded => return Err(OpError::refuse(PayRefusal::AlreadyPaid)),
            PaymentState::Processing => return Err(OpError::refuse(PayRefusal::PaymentInProcess)),
            PaymentState::Cancelled => return Err(OpError::refuse(PayRefusal::HoldOver)),
            // Told already, and the gateway has not answered: a second call would race with the first.
            PaymentState::Preparing if payment.queued_at.is_some() => return Err(OpError::refuse(PayRefusal::PaymentInProcess)),
            PaymentState::Preparing | PaymentState::RequiresMethod | PaymentState::RequiresAction => {}
        }
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout.id]).await?;
        let held = |line: &reservation_row::Model| line.state == ReservationState::Held && line.expires_at > now;
        if !lines.iter().all(held) {
            return Err(OpError::refuse(PayRefusal::HoldOver));
        }
        let ends = lines.iter().map(|line| line.expires_at).min().unwrap_or(now);
        payment.state = transition(payment.state, PaymentEvent::Choose).map_err(OpError::inconsistent)?;
        // An intent can be confirmed only where it was made, whoever takes new payments by now.
        if payment.intent.is_none() {
            payment.gateway = request.gateway.as_str().to_owned();
        }
        payment.method = Some(request.method.0.clone());
        payment.return_url = request.return_url.as_ref().map(|url| url.0.clone());
        payment.attempt = payment.attempt.saturating_add(1);
        payment.action_url = None;
        payment.decline_code = None;
        payment.queued_at = Some(now);
        payment.hold_left_secs = Some(ends.signed_duration_since(now).num_seconds().max(1));
        let version = payment_row::save(tx, payment).await?;
        let expires_at = ends.checked_add_signed(TimeDelta::seconds(QUEUE_SECS_MAX)).unwrap_or(ends);
        reservation_row::set_expiry(tx, checkout.id, expires_at).await?;
        checkout_row::touch(tx, checkout.id, Some(expires_at), false).await?;
        timers::set(tx, TimerKind::HoldLapse, checkout.id, expires_at).await?;
        let task = Task::AdvancePayment { payment: id };
        tasks::enqueue(tx, NewTask::from(task).unique(id).ranked(URGENCY_PAYMENT, checkout.created_at)).await?;
        outbox::publish(tx, version, &Fact::PaymentChanged { checkout: checkout.id, payment: id }).await?;
        audit::record(tx, "checkout.pay", checkout.id, &["method"]).await?;
        faults::point(Point::PayWritten).await?;
        Ok((id, false))
    })
    .await?;
    faults::point(Point::PayCommitted).await?;
    Ok(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_addresses_are_returned_to() {
        for good in ["https://shop.example/thanks?x=1", "http://localhost:3000/a", "http://127.0.0.1/"] {
            assert!(ReturnUrl::new(good).is_some(), "{good}");
        }
        for bad in [
            "http://shop.example/",
            "javascript:alert(1)",
            "https://",
            "https://user:pw@shop.example/",
            "https://a b/",
            "https://x/\"><script>",
            "//shop.example",
            "ftp://shop.example/",
            "http://localhost@evil.example/",
        ] {
            assert!(ReturnUrl::new(bad).is_none(), "{bad}");
        }
    }
}
