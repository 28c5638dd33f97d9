//! Choose: records a method of payment and queues the task that calls the gateway.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{
    URGENCY_PAYMENT,
    gateway::GatewayIdentity,
    method::{PaymentMethod, ReturnUrl},
    payment_row::{self, Model as Payment},
    state::{PaymentEvent, PaymentState, transition},
    tasks::AdvancePayment,
};
use crate::platform::{
    OpError, Tx,
    facts::Fact,
    outbox,
    tasks::{self as queue, NewTask},
};

/// A buyer's choice of a payment method.
pub(crate) struct Choice {
    /// The gateway for the payment. It is ignored if the payment already has an intent at another gateway.
    pub(crate) gateway: GatewayIdentity,
    /// The method of payment.
    pub(crate) method: PaymentMethod,
    /// Where the gateway sends the buyer afterwards.
    pub(crate) return_url: Option<ReturnUrl>,
    /// The seconds that are left of the hold. Time in our own queue does not count against the hold.
    pub(crate) hold_left_secs: i64,
}

/// Why no method can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChooseRefusal {
    /// The payment has succeeded.
    AlreadyPaid,
    /// The outcome of an earlier choice is not known yet.
    InProcess,
    /// The payment was cancelled.
    Over,
}

impl Payment {
    /// Checks whether a method can be chosen now.
    pub(crate) fn may_choose(&self) -> Result<(), ChooseRefusal> {
        match self.state {
            PaymentState::Succeeded => Err(ChooseRefusal::AlreadyPaid),
            PaymentState::Processing => Err(ChooseRefusal::InProcess),
            PaymentState::Cancelled => Err(ChooseRefusal::Over),
            // The call to the gateway is queued: a second call would race with the first.
            PaymentState::Preparing if self.queued_at.is_some() => Err(ChooseRefusal::InProcess),
            PaymentState::Preparing | PaymentState::RequiresMethod | PaymentState::RequiresAction => Ok(()),
        }
    }
}

/// Records a choice on a locked payment that [accepts one](Payment::may_choose), and queues the task that
/// calls the gateway. The queue runs the oldest payments first.
pub(crate) async fn choose<R: fmt::Debug>(
    tx: &Tx,
    mut payment: Payment,
    choice: Choice,
    now: DateTime<Utc>,
) -> Result<(), OpError<R>> {
    let (id, checkout, since) = (payment.id, payment.checkout_id, payment.created_at);
    payment.state = transition(payment.state, PaymentEvent::Choose).map_err(OpError::inconsistent)?;
    // An intent can be confirmed only at the gateway that created it, even if another gateway takes new
    // payments now.
    if payment.intent.is_none() {
        payment.gateway = choice.gateway.as_str().to_owned();
    }
    payment.method = Some(choice.method.into_string());
    payment.return_url = choice.return_url.map(ReturnUrl::into_string);
    payment.attempt = payment.attempt.saturating_add(1);
    payment.action_url = None;
    payment.decline_code = None;
    payment.queued_at = Some(now);
    payment.hold_left_secs = Some(choice.hold_left_secs);
    let version = payment_row::save(tx, payment).await?;
    let task = NewTask::from(AdvancePayment { payment: id }).unique().ranked(URGENCY_PAYMENT, since);
    queue::enqueue(tx, task).await?;
    Ok(outbox::publish(tx, version, &Fact::PaymentChanged { checkout, payment: id }).await?)
}
