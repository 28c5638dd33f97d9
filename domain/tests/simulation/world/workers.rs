//! The steps of workers: tasks, timers, the relay and the reconcilers.

use std::error::Error;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    payments::{
        RefundState,
        gateway::{GatewayError, IntentState},
        reconcile as payments, refunds_of,
        step::StepError,
        tasks::{AdvancePayment, ApplyWebhook, CancelPayment, MakeRefund, SyncPayment},
    },
    platform::{
        Db,
        faults::{self, Point},
        ids::PaymentId,
        in_tx,
        mail::SendMail,
        outbox,
        tasks::{self, Claimed, Queue, Task, TaskError, TaskKinds},
        timers,
    },
    registry,
    reservations::{reconcile as reservations, tasks::LapseCheckout},
};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Came, WORKER, World};
use crate::simulation::{gateway::Mishap, market::system, model::Model};

impl World<'_> {
    pub(super) async fn work(&mut self) {
        let queue = [Queue::Payments, Queue::Reservations, Queue::Mail][self.dice.below(3)];
        if self.dice.percent(15) {
            let slow = Mishap::Slow(self.dice.between(1, 900));
            let mishap = [Mishap::Unheard, Mishap::Unanswered, Mishap::Overtaken, slow][self.dice.below(4)];
            self.gateway.expect(Some(mishap));
        }
        self.work_on(queue).await;
        self.gateway.expect(None);
    }

    /// Claims a task of a queue, runs it, and settles it. Returns whether there was a task.
    pub(super) async fn work_on(&mut self, queue: Queue) -> bool {
        let (db, now) = (self.db.clone(), self.db.now());
        let claimed = in_tx(&db, WORKER, async |tx| tasks::claim(tx, queue, &self.kinds.names(), 1).await)
            .await
            .unwrap();
        let Some(task) = claimed.into_iter().next() else { return false };
        self.gateway.told();
        let pending = self.pending_refund(&task).await;
        let retry_at = now + TimeDelta::seconds(i64::from(self.dice.between(0, 30)));
        let what = format!("a worker does {}, attempt {}", task.payload, task.attempt);
        if let Some(mail) = read::<SendMail>(&task) {
            // A letter that is sent twice counts once, by its task.
            self.letters.insert(task.id.to_string(), mail.letter().clone());
        }
        let kinds = self.kinds.clone();
        let ended = self.with_luck(&what, do_task(&db, &kinds, &task, retry_at)).await;
        let came = match &ended {
            Some(Ok(None)) => Came::Done,
            Some(Ok(Some(error))) => {
                self.note(format_args!("  it fails: {error}"));
                Came::Unknown
            }
            Some(Err(_)) | None => Came::Unknown,
        };
        // A slow gateway advances the clock, and its answer is applied at the later time.
        let after = self.after_task(&task, self.db.now(), pending);
        self.agrees(after, &came).await;
        true
    }

    /// Returns the model after a task, given the gateway's answers during the task.
    pub(super) fn after_task(
        &self,
        task: &Claimed,
        now: DateTime<Utc>,
        pending: Option<(PaymentId, i64)>,
    ) -> Model {
        let mut after = self.model.clone();
        let told = self.gateway.told();
        let at_payment = |payment: PaymentId| {
            self.model.checkouts.iter().position(|checkout| checkout.payment == payment).unwrap()
        };
        if let Some(LapseCheckout { checkout }) = read(task) {
            let at = self.model.checkouts.iter().position(|known| known.id == checkout).unwrap();
            after.lapse(at, now);
        } else if let Some(AdvancePayment { payment }) = read(task) {
            let at = at_payment(payment);
            // The answer to `create` changes nothing. The answer to `confirm`, or to the `retrieve` after it,
            // does.
            if let Some(intent) = told.iter().rfind(|intent| intent.payment == payment) {
                let just_made = intent.state == IntentState::RequiresMethod && intent.decline_code.is_none();
                if !just_made {
                    after.told(at, intent.state, false, now);
                }
            }
        } else if let Some(payment) = asked_about(task) {
            if let Some(intent) = told.last() {
                after.told(at_payment(payment), intent.state, false, now);
            }
        } else if read::<ApplyWebhook>(task).is_some() {
            if let Some(intent) = told.last() {
                after.told(at_payment(intent.payment), intent.state, true, now);
            }
        } else if read::<MakeRefund>(task).is_some()
            && let Some((payment, amount)) = pending
        {
            after.gave_back(at_payment(payment), amount);
        }
        after
    }

    /// Returns the payment and the amount of the refund that a task makes, unless the refund is already done.
    pub(super) async fn pending_refund(&self, task: &Claimed) -> Option<(PaymentId, i64)> {
        let MakeRefund { refund } = read(task)?;
        let payments: Vec<PaymentId> = self.model.checkouts.iter().map(|checkout| checkout.payment).collect();
        let refunds = refunds_of(&self.db, &payments).await.unwrap();
        let row = refunds.values().flatten().find(|row| row.id == refund).unwrap();
        (row.state == RefundState::Pending).then_some((row.payment_id, row.amount_minor))
    }

    pub(super) async fn fire(&mut self) {
        let db = self.db.clone();
        let firing = async {
            in_tx(&db, WORKER, async |tx| timers::fire(tx, &registry::timers(), 10).await).await?;
            faults::point(Point::TimerFired).await
        };
        let _failed = self.with_luck("timers fire", firing).await;
        self.nothing_changed().await;
    }

    pub(super) async fn relay(&mut self) {
        let (db, holder) = (self.db.clone(), Uuid::from_u128(self.holder));
        let relaying = async {
            let Some(fence) = in_tx(&db, WORKER, async |tx| outbox::lease(tx, holder).await).await? else {
                return Ok(());
            };
            faults::point(Point::RelayLeased).await?;
            let letters = registry::letters();
            in_tx(&db, WORKER, async |tx| outbox::stamp(tx, fence, 10, |fact| letters.following(fact)).await)
                .await?;
            faults::point(Point::RelayCommitted).await
        };
        let _failed: Option<Result<(), DbErr>> = self.with_luck("the relay stamps", relaying).await;
        self.nothing_changed().await;
    }

    /// Runs the reconcilers, which normally run once a minute.
    pub(super) async fn reconcile(&mut self) {
        let (db, scope) = (self.db.clone(), system());
        let asked = payments::ask_unheard(&db, &scope).await.unwrap()
            + payments::ask_not_ended(&db, &scope).await.unwrap();
        self.note(format_args!("the gateway is to be asked {asked} times"));
        // All pending work has its timer or its task, even after crashes, so there is nothing to repair.
        for (what, repaired) in [
            ("payment_queued", payments::advance_queued(&db, &scope).await),
            ("refund_pending", payments::make_pending_refunds(&db, &scope).await),
            ("webhook_unapplied", payments::apply_inbox(&db, &scope).await),
            ("hold_not_lapsed", reservations::lapse_forgotten(&db, &scope).await),
            ("hold_without_timer", reservations::set_missing_timers(&db, &scope).await),
            ("timer_stray", reservations::drop_stray_timers(&db, &scope).await),
        ] {
            assert_eq!(repaired.unwrap(), 0, "{what}");
        }
        self.nothing_changed().await;
    }
}

/// Returns the task if it has the type `T`.
fn read<T: Task>(claimed: &Claimed) -> Option<T> {
    (claimed.kind == T::KIND).then(|| serde_json::from_value(claimed.payload.clone()).unwrap())
}

/// Returns the payment whose intent a task cancels or polls.
fn asked_about(task: &Claimed) -> Option<PaymentId> {
    read::<CancelPayment>(task)
        .map(|task| task.payment)
        .or_else(|| read::<SyncPayment>(task).map(|task| task.payment))
}

/// Runs one task as a worker does, and settles it. Returns why it failed, if it did.
async fn do_task(
    db: &Db,
    kinds: &TaskKinds,
    claimed: &Claimed,
    retry_at: DateTime<Utc>,
) -> Result<Option<String>, DbErr> {
    faults::point(Point::ConsumeClaimed).await?;
    let done = match kinds.run(db, claimed).await {
        Ok(()) => faults::point(Point::ConsumeHandled).await.map_err(TaskError::from),
        failed => failed,
    };
    match done {
        Ok(()) => {
            in_tx(db, WORKER, async |tx| tasks::finish(tx, claimed).await).await?;
            faults::point(Point::ConsumeSettled).await?;
            Ok(None)
        }
        Err(TaskError::Retry(cause)) => match made_to_fail(cause.as_ref()) {
            Some(why) => put_back(db, claimed, retry_at, why).await,
            None => panic!("a task failed without an injected fault: {claimed:?}: {cause}"),
        },
        Err(error) => panic!("a task failed permanently: {claimed:?}: {error:?}"),
    }
}

/// Returns why a task failed, if a fault point or the gateway injected the failure.
fn made_to_fail(cause: &(dyn Error + Send + Sync + 'static)) -> Option<String> {
    if let Some(DbErr::Custom(why)) = cause.downcast_ref() {
        return Some(why.clone());
    }
    match cause.downcast_ref()? {
        StepError::Gateway(GatewayError::Unavailable(why)) | StepError::Db(DbErr::Custom(why)) => {
            Some(why.clone())
        }
        StepError::Gateway(GatewayError::Refused(_))
        | StepError::Db(_)
        | StepError::Busy(_)
        | StepError::Contradiction(_) => None,
    }
}

async fn put_back(
    db: &Db,
    claimed: &Claimed,
    at: DateTime<Utc>,
    why: String,
) -> Result<Option<String>, DbErr> {
    let failure = tasks::AttemptFailure::new(tasks::AttemptOutcome::Retry, why.clone());
    in_tx(db, WORKER, async |tx| tasks::retry(tx, claimed, at, &failure).await).await?;
    Ok(Some(why))
}
