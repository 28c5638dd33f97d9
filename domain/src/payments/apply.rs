//! Apply: what the gateway says of an intent becomes what we know of the payment and its lines.

use std::{collections::BTreeSet, slice};

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::{
    gateway::{Intent, IntentState},
    ledger,
    pay::URGENCY_REFUND,
    payment_row::{self, Model as Payment, RefundReason},
    state::{PaymentEvent, PaymentState, transition},
    webhook,
};
use crate::{
    drops::{gate, item_row},
    platform::{
        Db, OpError, Tx,
        access::SystemScope,
        audit,
        facts::Fact,
        faults::{self, Point},
        ids::{CreatorId, DropId, ReservationId},
        in_tx, outbox,
        tasks::{self, NewTask, Task},
        timers::{self, TimerKind},
    },
    reservations::{
        checkout_row::{self, Model as Checkout},
        decide::{Decision, LineClaim, Request, StockRefusal, decide},
        load::{self, About},
        reservation_row::{self, Model as Line},
        reserve::stock_changed,
        state::{self as line_state, ReservationEvent, ReservationState},
    },
};

/// How long a payment in process extends its hold: once, in seconds.
pub const PROCESSING_SECS: i64 = 600;

/// Why what a gateway says is not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApplyRefusal {
    /// No payment of ours, or of another gateway.
    #[error("no such payment")]
    UnknownPayment,
    /// Another amount or currency than we asked for.
    #[error("the amount is not what was asked for")]
    WrongAmount,
}

/// How we came to know where an intent stands.
#[derive(Debug, Clone, Copy)]
enum Told<'a> {
    /// By the answer to a call of ours that was to change it.
    Answer,
    /// By a webhook: its id.
    Webhook(&'a str),
    /// By asking, because nothing was heard.
    Asked,
}

/// Brings a payment and its lines to what the gateway says, whatever came before, in whatever order,
/// however often. `event` is the webhook that told, marked as applied in the same transaction.
pub async fn apply(
    db: &Db,
    scope: &SystemScope,
    gateway: &str,
    intent: &Intent,
    event: Option<&str>,
) -> Result<(), OpError<ApplyRefusal>> {
    apply_told(db, scope, gateway, intent, event.map_or(Told::Answer, Told::Webhook)).await
}

/// The same for an intent that was asked for, because no webhook told of it.
pub(crate) async fn apply_asked(db: &Db, scope: &SystemScope, gateway: &str, intent: &Intent) -> Result<(), OpError<ApplyRefusal>> {
    apply_told(db, scope, gateway, intent, Told::Asked).await
}

async fn apply_told(
    db: &Db,
    scope: &SystemScope,
    gateway: &str,
    intent: &Intent,
    told: Told<'_>,
) -> Result<(), OpError<ApplyRefusal>> {
    let unknown = || OpError::refuse(ApplyRefusal::UnknownPayment);
    let payment = payment_row::by_id(db.reader(), intent.payment).await?.ok_or_else(unknown)?;
    let lines = reservation_row::of_checkouts(db.reader(), &[payment.checkout_id]).await?;
    let drops: Vec<DropId> = lines.iter().map(|line| line.drop_id).collect::<BTreeSet<_>>().into_iter().collect();
    in_tx(db, scope.actor(), async |tx| {
        gate::take(tx, &drops).await?;
        faults::point(Point::ApplyGated).await?;
        let now = tx.decision_now().await?;
        let payment = payment_row::lock_of_checkout(tx, payment.checkout_id).await?.ok_or_else(unknown)?;
        let foreign = payment.gateway != gateway || payment.intent.as_ref().is_some_and(|known| *known != intent.id);
        if foreign {
            return Err(unknown());
        }
        if intent.amount != payment.amount() || intent.captured.minor > payment.amount_minor {
            return Err(OpError::refuse(ApplyRefusal::WrongAmount));
        }
        let is_answer = match told {
            Told::Answer => true,
            Told::Webhook(event) => {
                webhook::mark_applied(tx, gateway, event).await?;
                false
            }
            Told::Asked => false,
        };
        // Our own call is still to be made, or its answer to be applied: the news is of an earlier choice.
        let waits = payment.queued_at.is_some() && !is_answer;
        if waits && matches!(intent.state, IntentState::RequiresMethod | IntentState::RequiresAction) {
            return Ok(());
        }
        let repeated = payment.state == PaymentState::Succeeded;
        let Ok(next) = transition(payment.state, PaymentEvent::Mirror(intent.state)) else { return Ok(()) };
        if repeated {
            return Ok(());
        }
        let checkout = checkout_row::by_id(tx.conn(), payment.checkout_id).await?.ok_or_else(unknown)?;
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout.id]).await?;
        let step = Step { tx, now, checkout: &checkout, lines: &lines, drops: &drops };
        step.take(payment, intent, next).await?;
        Ok(faults::point(Point::ApplyWritten).await?)
    })
    .await?;
    Ok(faults::point(Point::ApplyCommitted).await?)
}

/// One payment under the gates of its drops.
struct Step<'a> {
    tx: &'a Tx,
    now: DateTime<Utc>,
    checkout: &'a Checkout,
    lines: &'a [Line],
    drops: &'a [DropId],
}

impl Step<'_> {
    async fn take(&self, mut payment: Payment, intent: &Intent, next: PaymentState) -> Result<(), OpError<ApplyRefusal>> {
        let (id, hold_left) = (payment.id, payment.queued_at.and(payment.hold_left_secs));
        payment.state = next;
        payment.intent = Some(intent.id.clone());
        payment.action_url = intent.action_url.clone();
        payment.decline_code = intent.decline_code.clone();
        payment.fingerprint = intent.fingerprint.as_deref().map(|fingerprint| hash_of_means(&payment.gateway, fingerprint));
        payment.queued_at = None;
        payment.hold_left_secs = None;
        if next == PaymentState::Succeeded {
            payment.captured_minor = payment.amount_minor;
        }
        if intent.state == IntentState::Cancelled {
            payment.intent_ended_at = Some(self.tx.now());
        }
        let paid = payment.clone();
        let version = payment_row::save(self.tx, payment).await?;
        match intent.state {
            IntentState::Succeeded => self.settle(&paid).await?,
            IntentState::RequiresMethod | IntentState::RequiresAction => self.resume(hold_left, 0).await?,
            // A payment in process extends the hold once.
            IntentState::Processing if self.checkout.extended => self.resume(hold_left, 0).await?,
            IntentState::Processing => self.resume(hold_left, PROCESSING_SECS).await?,
            IntentState::Cancelled => {}
        }
        let checkout = self.checkout.id;
        outbox::publish(self.tx, version, &Fact::PaymentChanged { checkout, payment: id }).await?;
        Ok(audit::record(self.tx, "payment.apply", id, &["state"]).await?)
    }

    /// The hold goes on from where it stood when the choice was queued, `extra_secs` longer.
    async fn resume(&self, hold_left: Option<i64>, extra_secs: i64) -> Result<(), OpError<ApplyRefusal>> {
        let held: Vec<_> = self.lines.iter().filter(|line| line.state == ReservationState::Held).collect();
        let Some(ends) = held.iter().map(|line| line.expires_at).min() else { return Ok(()) };
        if ends <= self.now || (hold_left.is_none() && extra_secs == 0) {
            return Ok(());
        }
        let seconds = |count: i64| TimeDelta::try_seconds(count).unwrap_or_default();
        let resumed = hold_left.and_then(|left| self.now.checked_add_signed(seconds(left))).unwrap_or(ends);
        let expires_at = resumed.checked_add_signed(seconds(extra_secs)).unwrap_or(resumed);
        reservation_row::set_expiry(self.tx, self.checkout.id, expires_at).await?;
        checkout_row::touch(self.tx, self.checkout.id, Some(expires_at), extra_secs > 0).await?;
        Ok(timers::set(self.tx, TimerKind::HoldLapse, self.checkout.id, expires_at).await?)
    }

    /// The money is here: every line is confirmed, or, where the units are gone, all of it goes back.
    async fn settle(&self, payment: &Payment) -> Result<(), OpError<ApplyRefusal>> {
        let parts: Vec<(ReservationId, i64)> = self.lines.iter().map(|line| (line.id, line.due_now_minor)).collect();
        let owed: Vec<(CreatorId, i64)> = self.lines.iter().map(|line| (line.creator_id, line.due_now_minor)).collect();
        payment_row::allocate(self.tx, payment.id, &parts).await?;
        ledger::deposit_captured(self.tx, payment.id, payment.amount(), &owed).await?;
        timers::drop(self.tx, TimerKind::HoldLapse, self.checkout.id).await?;
        let refused = self.confirm(payment).await?;
        if refused.is_none() {
            let version = checkout_row::touch(self.tx, self.checkout.id, None, false).await?;
            outbox::publish(self.tx, version, &Fact::Confirmed { checkout: self.checkout.id }).await?;
            stock_changed(self.tx, self.drops).await?;
            return Ok(audit::record(self.tx, "checkout.confirm", self.checkout.id, &["state"]).await?);
        }
        for line in self.lines {
            let from = match line.state {
                // A hold that ran out a moment ago and has not been swept yet.
                ReservationState::Held => {
                    line_state::transition(line.state, ReservationEvent::Lapse).map_err(OpError::inconsistent)?
                }
                ReservationState::Confirmed
                | ReservationState::Expired
                | ReservationState::Cancelled
                | ReservationState::Refunded => line.state,
            };
            let state = line_state::transition(from, ReservationEvent::Refund).map_err(OpError::inconsistent)?;
            reservation_row::set_state(self.tx, &[line.id], state).await?;
        }
        queue_refund(self.tx, payment, &parts, refused.unwrap_or(RefundReason::PaidTooLate)).await?;
        checkout_row::touch(self.tx, self.checkout.id, None, false).await?;
        stock_changed(self.tx, self.drops).await?;
        Ok(audit::record(self.tx, "checkout.refund_late", self.checkout.id, &["state"]).await?)
    }

    /// Confirms all lines, held or lapsed, if the units are theirs or free and no limit is passed; otherwise none, and answers why
    /// the money goes back.
    async fn confirm(&self, payment: &Payment) -> Result<Option<RefundReason>, OpError<ApplyRefusal>> {
        let late = Ok(Some(RefundReason::PaidTooLate));
        let may = |line: &Line| line_state::transition(line.state, ReservationEvent::Pay).is_ok();
        let Some(first) = self.lines.first() else { return late };
        if !self.lines.iter().all(may) {
            return late;
        }
        let about = About { persons: slice::from_ref(&first.person_key), checkouts: slice::from_ref(&self.checkout.id) };
        let mut stock = load::stock(self.tx.conn(), self.drops, about, self.now).await?;
        let means = payment.fingerprint.clone();
        if let Some(means) = &means {
            for (item, units) in payment_row::confirmed_by_means(self.tx.conn(), self.drops, means).await? {
                stock.add_of_person(item, means, units);
            }
        }
        let claims = self.lines.iter().map(|line| LineClaim { item: line.drop_item_id, units: line.units.get() });
        let (checkout, person) = (self.checkout.id, first.person_key.clone());
        let request = Request::Confirm { checkout, person, means, lines: claims.collect() };
        match decide(&stock, &[request], self.now).as_slice() {
            [Decision::Confirmed] => {}
            [Decision::Refused(why, _)] if why.iter().any(|why| why.code == StockRefusal::LimitExceeded) => {
                return Ok(Some(RefundReason::LimitExceeded));
            }
            _ => return late,
        }
        let ids: Vec<ReservationId> = self.lines.iter().map(|line| line.id).collect();
        reservation_row::set_state(self.tx, &ids, ReservationState::Confirmed).await?;
        for line in self.lines {
            item_row::add_confirmed(self.tx, line.drop_item_id, line.units).await?;
        }
        Ok(None)
    }
}

/// What a means of payment is kept as: enough to know it again, and no more. It is the same for all drops, and for whoever uses it.
fn hash_of_means(gateway: &str, fingerprint: &str) -> Vec<u8> {
    Sha256::digest(format!("{gateway}:{fingerprint}")).to_vec()
}

/// Makes a refund of reservations' deposits and queues the call to the gateway.
pub(crate) async fn queue_refund(
    tx: &Tx,
    payment: &Payment,
    parts: &[(ReservationId, i64)],
    reason: RefundReason,
) -> Result<(), sea_orm::DbErr> {
    let refund = payment_row::insert_refund(tx, payment.id, parts, payment.currency, reason).await?;
    let task = NewTask::from(Task::MakeRefund { refund }).unique(refund).ranked(URGENCY_REFUND, payment.created_at);
    tasks::enqueue(tx, task).await
}
