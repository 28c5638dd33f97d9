//! Deposits: payments, their allocations, refunds, the ledger, and the port to a gateway.
//!
//! [`gateway`] the port; [`state`] the state machine; [`pay`] the buyer's choice; [`advance`] the calls to the
//! gateway; [`webhook`] what it tells us, [`sync`] when it does not; [`apply`] what that means; [`reconcile`] what was missed.
//! Below: what reservations ask of payments.

pub mod advance;
pub mod apply;
pub mod gateway;
mod ledger;
pub mod pay;
pub(crate) mod payment_row;
pub mod personal_data;
pub mod reconcile;
pub mod state;
pub mod sync;
pub mod webhook;

use std::collections::{BTreeMap, HashMap};

use sea_orm::DbErr;

pub use payment_row::{Model as Payment, Purpose, Refund, RefundReason, RefundState};
pub use webhook::receive_webhook;

use crate::platform::{
    Db, Money, Tx,
    ids::{CheckoutId, PaymentId, RefundId, ReservationId},
    tasks::{self, NewTask, Task},
};
use state::{PaymentEvent, PaymentState, transition};

/// Opens the payments of new checkouts. The gateway hears of them when their buyers pay.
pub(crate) async fn open_all(tx: &Tx, new: &[(CheckoutId, Money)]) -> Result<Vec<Payment>, DbErr> {
    payment_row::insert_all(tx, new).await
}

/// Gives up the payment of a checkout that lapsed or was cancelled; the gateway's intent, if there
/// is one, is cancelled by a task. One that is being processed goes on: its outcome decides.
pub(crate) async fn abandon(tx: &Tx, checkout: CheckoutId) -> Result<(), DbErr> {
    let Some(mut payment) = payment_row::lock_of_checkout(tx, checkout).await? else { return Ok(()) };
    if payment.intent.is_some() && payment.state != PaymentState::Succeeded {
        let task = NewTask::from(Task::CancelPayment { payment: payment.id }).unique(payment.id);
        tasks::enqueue(tx, task.ranked(pay::URGENCY_REFUND, payment.created_at)).await?;
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
    Ok(payment.is_some_and(|payment| payment.queued_at.is_some() || payment.state == PaymentState::Processing))
}

/// Gives back what was paid for reservations, one refund a payment.
pub(crate) async fn refund_lines(tx: &Tx, reservations: &[ReservationId], reason: RefundReason) -> Result<(), DbErr> {
    let mut by_payment: BTreeMap<PaymentId, Vec<(ReservationId, i64)>> = BTreeMap::new();
    for row in payment_row::allocations(tx.conn(), reservations).await? {
        by_payment.entry(row.payment_id).or_default().push((row.reservation_id, row.amount_minor));
    }
    for (payment, parts) in by_payment {
        if let Some(payment) = payment_row::by_id(tx.conn(), payment).await? {
            apply::queue_refund(tx, &payment, &parts, reason).await?;
        }
    }
    Ok(())
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

/// The constant name of the gateway that a payment's tasks talk to; `None` when there is no such payment.
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
