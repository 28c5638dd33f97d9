//! The reconcilers of payments. Each returns how many tasks it queued.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbErr;

use super::{
    URGENCY_PAYMENT, URGENCY_REFUND,
    payment_row::{self, Model as Payment, Refund},
    tasks::{AdvancePayment, CancelPayment, MakeRefund, SyncPayment},
    webhook,
};
use crate::platform::{
    Db, EntityId,
    access::SystemScope,
    reconcile::Missed,
    tasks::{NewTask, Task},
};

/// An item that has waited this long has no task. The task is queued in the same transaction as the item, and
/// runs for less than this time.
const TASK_SECS: i64 = 120;
/// How long to wait for a buyer who is at a bank's page before the gateway is polled. Most buyers return
/// within this time, and the hold lasts longer.
const ACTION_SECS: i64 = 120;
/// How long to wait for a payment in process before the gateway is polled, and between two polls. Gateways
/// take minutes or days to process a payment, and polling is cheap.
const PROCESSING_SECS: i64 = 300;
/// How long after it was abandoned an intent is polled. A later payment of it is reported by a webhook.
const GIVEN_UP_HOURS: i64 = 24;
/// When the gateway's rate limit is short, polling comes after payments and refunds.
const URGENCY_ASK: i32 = 2;

fn ago(db: &Db, time: TimeDelta) -> DateTime<Utc> {
    db.now().checked_sub_signed(time).unwrap_or(db.now())
}

fn secs(count: i64) -> TimeDelta {
    TimeDelta::try_seconds(count).unwrap_or_default()
}

/// Returns the task that polls the gateway for a payment.
fn ask(payment: &Payment) -> NewTask {
    let task = NewTask::from(SyncPayment { payment: payment.id }).unique();
    task.ranked(URGENCY_ASK, payment.created_at)
}

fn of_payment(payment: &Payment) -> String {
    payment.id.public()
}

/// Queues polling for payments whose outcome only the gateway knows and of which nothing was heard for longer
/// than usual. Their webhooks may have been lost.
pub async fn ask_unheard(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let missed = Missed {
        what: "payment_unheard",
        warns: false,
        candidates: payment_row::unheard(ago(db, secs(PROCESSING_SECS)), ago(db, secs(ACTION_SECS))),
        kinds: &[SyncPayment::KIND],
        subject: of_payment,
    };
    missed.queue(db, scope, ask).await
}

/// Queues polling for payments that were abandoned within the last 24 hours and whose intent is not known to
/// be cancelled: the buyer may have paid, or may still pay. Polling cancels an intent that is still open.
/// Payments with a pending task to cancel them are skipped.
pub async fn ask_not_ended(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let since = ago(db, TimeDelta::try_hours(GIVEN_UP_HOURS).unwrap_or_default());
    let missed = Missed {
        what: "payment_not_ended",
        warns: false,
        candidates: payment_row::not_ended(since, ago(db, secs(TASK_SECS)), ago(db, secs(PROCESSING_SECS))),
        kinds: &[SyncPayment::KIND, CancelPayment::KIND],
        subject: of_payment,
    };
    missed.queue(db, scope, ask).await
}

/// Queues the missing tasks of payments whose choice is still to be sent to the gateway.
pub async fn advance_queued(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let missed = Missed {
        what: "payment_queued",
        warns: true,
        candidates: payment_row::queued(ago(db, secs(TASK_SECS))),
        kinds: &[AdvancePayment::KIND],
        subject: of_payment,
    };
    let task = |payment: &Payment| {
        let task = NewTask::from(AdvancePayment { payment: payment.id }).unique();
        task.ranked(URGENCY_PAYMENT, payment.created_at)
    };
    missed.queue(db, scope, task).await
}

/// Queues the missing tasks of refunds that the gateway has not answered.
pub async fn make_pending_refunds(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let missed = Missed {
        what: "refund_pending",
        warns: true,
        candidates: payment_row::pending_refunds(ago(db, secs(TASK_SECS))),
        kinds: &[MakeRefund::KIND],
        subject: |refund: &Refund| refund.id.public(),
    };
    let task = |refund: &Refund| {
        let task = NewTask::from(MakeRefund { refund: refund.id }).unique();
        task.ranked(URGENCY_REFUND, refund.created_at)
    };
    missed.queue(db, scope, task).await
}

/// Queues the missing tasks of webhooks that are not applied.
pub async fn apply_inbox(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    webhook::requeue_unapplied(db, scope, ago(db, secs(TASK_SECS))).await
}
