//! Deposits: payments, their allocations, refunds, the ledger, and the port to a gateway.
//!
//! [`gateway`] is the port, [`gateways`] all that a deployment has, [`state`] the state machine. A buyer
//! [chooses](mod@choose) a [`method`]. [`tasks`] call the gateway: to [`advance`] a payment, to [cancel its
//! intent](mod@cancel_intent) and to [give money back](mod@make_refund). [`webhook`] takes in what the
//! gateway tells, and [`sync`] asks when it tells nothing. [`apply`] brings a payment to what the gateway
//! says. [`reconcile`] finds what was missed. [`payable`] is the port to what a payment is for. Below stands
//! what the capabilities above ask of payments.
//!
//! Architecture invariant: payments are ground. They know money, gateways and the ledger, and neither drops
//! nor reservations.

pub mod advance;
pub mod apply;
pub mod cancel_intent;
pub mod choose;
pub mod gateway;
pub mod gateways;
mod ledger;
pub mod make_refund;
pub mod method;
pub mod payable;
pub(crate) mod payment_row;
pub mod personal_data;
pub mod reconcile;
pub mod state;
pub mod step;
pub mod sync;
pub mod tasks;
pub mod webhook;

use std::collections::{BTreeMap, HashMap};

use sea_orm::DbErr;

pub(crate) use choose::choose;
pub use payable::Payables;
pub use payment_row::{Model as Payment, Purpose, Refund, RefundReason, RefundState};
pub(crate) use payment_row::{checkouts_paid_by, lock_of_checkout};
pub use webhook::receive_webhook;

use crate::platform::{
    Db, Money, Tx,
    ids::{CheckoutId, PaymentId, RefundId, ReservationId},
    tasks::{self as queue, NewTask},
};
use state::{PaymentEvent, PaymentState, transition};
use tasks::{CancelPayment, MakeRefund};

/// Payments come before refunds when the gateway's budget is short.
const URGENCY_PAYMENT: i32 = 0;
/// Refunds come after payments.
const URGENCY_REFUND: i32 = 1;

/// Opens the payments of new checkouts. The gateway hears of them when their buyers pay.
pub(crate) async fn open_all(tx: &Tx, new: &[(CheckoutId, Money)]) -> Result<Vec<Payment>, DbErr> {
    payment_row::insert_all(tx, new).await
}

/// Gives up the payment of a checkout that lapsed or was cancelled; the gateway's intent, if there
/// is one, is cancelled by a task. One that is being processed goes on: its outcome decides.
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

/// Whether the payment of a checkout is on its way, so that its outcome is not known.
pub(crate) async fn in_process(tx: &Tx, checkout: CheckoutId) -> Result<bool, DbErr> {
    let payment = payment_row::lock_of_checkout(tx, checkout).await?;
    Ok(payment
        .is_some_and(|payment| payment.queued_at.is_some() || payment.state == PaymentState::Processing))
}

/// Gives back what was paid for reservations, one refund a payment.
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

/// Makes a refund of reservations' deposits and queues the call to the gateway.
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

/// The payments of checkouts that the caller was led to by its own scope: one statement.
pub async fn of_checkouts(db: &Db, checkouts: &[CheckoutId]) -> Result<HashMap<CheckoutId, Payment>, DbErr> {
    let rows = payment_row::of_checkouts(db.reader(), checkouts).await?;
    Ok(rows.into_iter().map(|row| (row.checkout_id, row)).collect())
}

/// The refunds of payments that the caller was led to by its own scope: one statement.
pub async fn refunds_of(db: &Db, payments: &[PaymentId]) -> Result<HashMap<PaymentId, Vec<Refund>>, DbErr> {
    let mut refunds: HashMap<PaymentId, Vec<Refund>> = HashMap::new();
    for row in payment_row::refunds_of(db.reader(), payments).await? {
        refunds.entry(row.payment_id).or_default().push(row);
    }
    Ok(refunds)
}

/// The identity of the gateway that has a payment, as text; `None` when there is no such payment.
pub async fn gateway_of(db: &Db, payment: PaymentId) -> Result<Option<String>, DbErr> {
    Ok(payment_row::by_id(db.reader(), payment).await?.map(|payment| payment.gateway))
}

/// The same for a refund.
pub async fn gateway_of_refund(db: &Db, refund: RefundId) -> Result<Option<String>, DbErr> {
    match payment_row::refund(db.reader(), refund).await? {
        Some(refund) => gateway_of(db, refund.payment_id).await,
        None => Ok(None),
    }
}
