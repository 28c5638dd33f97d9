//! What the reconcilers of payments look for. Each answers how much it queued.

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

/// What waits for its task for so long has none: it is queued in the same transaction, and this is longer
/// than a task runs.
const TASK_SECS: i64 = 120;
/// A buyer who is at the bank's page comes back within that time, mostly; the hold goes on for longer.
const ACTION_SECS: i64 = 120;
/// A payment in process takes a gateway some minutes, or days; asking is cheap, and each ask waits for this
/// time again.
const PROCESSING_SECS: i64 = 300;
/// Money for an intent that was given up comes within a day, or by a webhook.
const GIVEN_UP_HOURS: i64 = 24;
/// Asking comes after payments and refunds when the gateway's budget is short.
const URGENCY_ASK: i32 = 2;

fn ago(db: &Db, time: TimeDelta) -> DateTime<Utc> {
    db.now().checked_sub_signed(time).unwrap_or(db.now())
}

fn secs(count: i64) -> TimeDelta {
    TimeDelta::try_seconds(count).unwrap_or_default()
}

/// The task that asks the gateway about a payment.
fn ask(payment: &Payment) -> NewTask {
    let task = NewTask::from(SyncPayment { payment: payment.id }).unique();
    task.ranked(URGENCY_ASK, payment.created_at)
}

fn of_payment(payment: &Payment) -> String {
    payment.id.public()
}

/// Payments whose outcome only the gateway knows, and of which nothing was heard for longer than it needs:
/// the webhook may never have come. The gateway is asked.
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

/// Payments given up within a day whose intent the gateway is not known to have cancelled: the buyer may have
/// paid it, or may still. The gateway is asked, and an intent that is open is cancelled. A task that is to
/// cancel it comes first.
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

/// Payments whose choice waits in our queue, without the task that tells the gateway.
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

/// Refunds that the gateway has not answered for, without the task that asks for them.
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

/// Webhooks of the inbox that are not applied, without the task that applies them.
pub async fn apply_inbox(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    webhook::requeue_unapplied(db, scope, ago(db, secs(TASK_SECS))).await
}
