//! Deposits: payments, their allocations, refunds, the ledger, and the port to payment gateways.
//!
//! The modules:
//!
//! * [`gateway`] is the port to a payment gateway; [`gateways`] lists all gateways of a deployment.
//! * [`state`] is the state machine of a payment.
//! * [`method`] describes how a buyer pays; `choose` records the buyer's choice.
//! * [`tasks`] call the gateway: they [`advance`](fn@advance) a payment, [cancel its
//!   intent](fn@cancel_intent) and [make refunds](fn@make_refund).
//! * [`webhook`] receives the gateway's events, and [`sync`](fn@sync) polls the gateway when no event
//!   arrives. [`apply`](fn@apply) brings a payment to the state that the gateway reports.
//! * [`reconcile`] finds work that was missed.
//! * [`payable`] is the port to the capability that a payment is for.
//!
//! The functions in this module are what other capabilities call.
//!
//! Architecture invariant: payments are a lower layer. They know money, gateways and the ledger. They know
//! neither drops nor reservations.

mod advance;
mod apply;
mod cancel_intent;
mod choose;
pub mod gateway;
pub mod gateways;
mod ledger;
mod make_refund;
pub mod method;
pub mod payable;
pub(crate) mod payment_row;
pub mod personal_data;
pub mod reconcile;
pub mod state;
pub mod step;
mod sync;
pub mod tasks;
mod webhook;

use std::collections::{BTreeMap, HashMap};

use sea_orm::DbErr;

pub use advance::advance;
pub use apply::{ApplyRefusal, apply};
pub use cancel_intent::cancel_intent;
pub(crate) use choose::{Choice, ChooseRefusal, choose};
pub use make_refund::make_refund;
pub use payable::Payables;
pub use payment_row::{Model as Payment, Purpose, Refund, RefundReason, RefundState};
pub(crate) use payment_row::{checkouts_paid_by, lock_of_checkout};
pub use sync::sync;
pub use webhook::{apply_webhook, receive_webhook, sweep_inbox};

use crate::platform::{
    Db, Money, Tx,
    ids::{CheckoutId, PaymentId, RefundId, ReservationId},
    tasks::{self as queue, NewTask},
};
use state::{PaymentEvent, PaymentState, transition};
use tasks::{CancelPayment, MakeRefund};

/// When the gateway's rate limit is short, payments come before refunds.
const URGENCY_PAYMENT: i32 = 0;
/// Refunds come after payments.
const URGENCY_REFUND: i32 = 1;

/// Opens the payments of new checkouts. The gateway is not called until the buyer pays.
pub(crate) async fn open_all(tx: &Tx, new: &[(CheckoutId, Money)]) -> Result<Vec<Payment>, DbErr> {
    payment_row::insert_all(tx, new).await
}

/// Abandons the payment of a checkout that lapsed or was cancelled. If the gateway has an intent, a task
/// cancels it. A payment that is being processed continues, and its outcome decides.
pub(crate) async fn abandon(tx: &Tx, checkout: CheckoutId) -> Result<(), DbErr> {
    let Some(mut payment) = payment_row::lock_of_checkout(tx, checkout).await? else { return Ok(()) };
    if payment.intent.is_some() && payment.state != PaymentState::Succeeded {
        let task = NewTask::from(CancelPayment { payment: payment.id }).unique();
        queue::enqueue(tx, task.ranked(URGENCY_REFUND, payment.created_at)).await?;
    }
    if let Ok(state) = transition(payment.state, PaymentEvent::Abandon) {
        payment.state = state;
        payment.queued_at = None;
        payment.hold_left_secs = None;
        payment_row::save(tx, payment).await?;
    }
    Ok(())
}

/// Whether the payment of a checkout is queued or in process, so that its outcome is not known yet.
pub(crate) async fn in_process(tx: &Tx, checkout: CheckoutId) -> Result<bool, DbErr> {
    let payment = payment_row::lock_of_checkout(tx, checkout).await?;
    Ok(payment
        .is_some_and(|payment| payment.queued_at.is_some() || payment.state == PaymentState::Processing))
}

/// Refunds what was paid for reservations, with one refund per payment.
pub(crate) async fn refund_lines(
    tx: &Tx,
    reservations: &[ReservationId],
    reason: RefundReason,
) -> Result<(), DbErr> {
    if reservations.is_empty() {
        return Ok(());
    }
    let mut by_payment: BTreeMap<PaymentId, Vec<(ReservationId, i64)>> = BTreeMap::new();
    for row in payment_row::allocations(tx.conn(), reservations).await? {
        by_payment.entry(row.payment_id).or_default().push((row.reservation_id, row.amount_minor));
    }
    for (payment, parts) in by_payment {
        if let Some(payment) = payment_row::by_id(tx.conn(), payment).await? {
            queue_refund(tx, &payment, &parts, reason).await?;
        }
    }
    Ok(())
}

/// Creates a refund of reservations' deposits and queues the call to the gateway.
async fn queue_refund(
    tx: &Tx,
    payment: &Payment,
    parts: &[(ReservationId, i64)],
    reason: RefundReason,
) -> Result<(), DbErr> {
    let refund = payment_row::insert_refund(tx, payment.id, parts, payment.currency, reason).await?;
    let task = NewTask::from(MakeRefund { refund }).unique().ranked(URGENCY_REFUND, payment.created_at);
    queue::enqueue(tx, task).await
}

/// Returns the payments of checkouts, in one statement. The caller must have found the checkouts within its
/// own scope.
pub async fn of_checkouts(db: &Db, checkouts: &[CheckoutId]) -> Result<HashMap<CheckoutId, Payment>, DbErr> {
    let rows = payment_row::of_checkouts(db.reader(), checkouts).await?;
    Ok(rows.into_iter().map(|row| (row.checkout_id, row)).collect())
}

/// Returns the refunds of payments, in one statement. The caller must have found the payments within its own
/// scope.
pub async fn refunds_of(db: &Db, payments: &[PaymentId]) -> Result<HashMap<PaymentId, Vec<Refund>>, DbErr> {
    let mut refunds: HashMap<PaymentId, Vec<Refund>> = HashMap::new();
    for row in payment_row::refunds_of(db.reader(), payments).await? {
        refunds.entry(row.payment_id).or_default().push(row);
    }
    Ok(refunds)
}

/// Returns the identity of the gateway that holds a payment, as text, or `None` if there is no such payment.
pub async fn gateway_of(db: &Db, payment: PaymentId) -> Result<Option<String>, DbErr> {
    Ok(payment_row::by_id(db.reader(), payment).await?.map(|payment| payment.gateway))
}

/// Returns the identity of the gateway that holds a refund's payment, as text, or `None` if there is no such
/// refund.
pub async fn gateway_of_refund(db: &Db, refund: RefundId) -> Result<Option<String>, DbErr> {
    match payment_row::refund(db.reader(), refund).await? {
        Some(refund) => gateway_of(db, refund.payment_id).await,
        None => Ok(None),
    }
}
