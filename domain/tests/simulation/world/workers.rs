//! What workers do: tasks, timers, the relay, the reconcilers.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    payments::{
        RefundState,
        advance::advance,
        cancel_intent::cancel_intent as cancel_payment,
        gateway::{GatewayError, IntentState},
        make_refund::make_refund,
        reconcile as payments, refunds_of,
        step::StepError,
        sync::sync,
        webhook::apply_webhook,
    },
    platform::{
        Db, OpError,
        facts::Fact,
        faults::{self, Point},
        ids::PaymentId,
        in_tx,
        mail::Letter,
        outbox::{self, Stamped},
        tasks::{self, Claimed, NewTask, Queue, Task},
        timers,
    },
    reservations::{lapse::lapse, reconcile as reservations},
};
use sea_orm::DbErr;
use uuid::Uuid;

use super::{Came, WORKER, World};
use crate::{
    gateway::{Gateway, Mishap},
    market::system,
    model::Model,
};

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

    /// Claims a task of a queue, does it, and settles it. Answers whether there was one.
    pub(super) async fn work_on(&mut self, queue: Queue) -> bool {
        let (db, now) = (self.db.clone(), self.db.now());
        let claimed = in_tx(&db, WORKER, async |tx| tasks::claim(tx, queue, 1).await).await.unwrap();
        let Some(task) = claimed.into_iter().next() else { return false };
        self.gateway.told();
        let pending = self.pending_refund(&task.task).await;
        let retry_at = now + TimeDelta::seconds(i64::from(self.dice.between(0, 30)));
        let what = format!("a worker does {:?}, attempt {}", task.task, task.attempt);
        let (gateway, mut letters) = (Arc::clone(&self.gateway), std::mem::take(&mut self.letters));
        let ended = self.with_luck(&what, do_task(&db, &gateway, &mut letters, &task, retry_at)).await;
        self.letters = letters;
        let came = match &ended {
            Some(Ok(None)) => Came::Done,
            Some(Ok(Some(error))) => {
                self.note(format_args!("  it fails: {error}"));
                Came::Unknown
            }
            Some(Err(_)) | None => Came::Unknown,
        };
        // A slow gateway takes time, and what it says is applied when it has said it.
        let after = self.after_task(&task, self.db.now(), pending);
        self.agrees(after, &came).await;
        true
    }

    /// The model when a task was done, by what the gateway told meanwhile.
    pub(super) fn after_task(&self, task: &Claimed, now: DateTime<Utc>, pending: Option<(PaymentId, i64)>) -> Model {
        let mut after = self.model.clone();
        let told = self.gateway.told();
        let at_payment = |payment: PaymentId| self.model.checkouts.iter().position(|checkout| checkout.payment == payment).unwrap();
        match &task.task {
            Task::LapseCheckout { checkout } => {
                let at = self.model.checkouts.iter().position(|known| known.id == *checkout).unwrap();
                after.lapse(at, now);
            }
            Task::AdvancePayment { payment } => {
                let at = at_payment(*payment);
                // The answer to `create` tells nothing; that to `confirm`, or to the question after it, does.
                if let Some(intent) = told.iter().rfind(|intent| intent.payment == *payment) {
                    let just_made = intent.state == IntentState::RequiresMethod && intent.decline_code.is_none();
                    if !just_made {
                        after.told(at, intent.state, false, now);
                    }
                }
            }
            Task::CancelPayment { payment } | Task::SyncPayment { payment } => {
                if let Some(intent) = told.last() {
                    after.told(at_payment(*payment), intent.state, false, now);
                }
            }
            Task::ApplyWebhook { .. } => {
                if let Some(intent) = told.last() {
                    after.told(at_payment(intent.payment), intent.state, true, now);
                }
            }
            Task::MakeRefund { .. } => {
                if let Some((payment, amount)) = pending {
                    after.gave_back(at_payment(payment), amount);
                }
            }
            Task::SendMail { .. } | Task::SandboxOutcome { .. } | Task::ImportProducts { .. } => {}
        }
        after
    }

    /// The payment and the amount of the refund that a task is to make, unless it was made.
    pub(super) async fn pending_refund(&self, task: &Task) -> Option<(PaymentId, i64)> {
        let Task::MakeRefund { refund } = task else { return None };
        let payments: Vec<PaymentId> = self.model.checkouts.iter().map(|checkout| checkout.payment).collect();
        let refunds = refunds_of(&self.db, &payments).await.unwrap();
        let row = refunds.values().flatten().find(|row| row.id == *refund).unwrap();
        (row.state == RefundState::Pending).then_some((row.payment_id, row.amount_minor))
    }

    pub(super) async fn fire(&mut self) {
        let db = self.db.clone();
        let firing = async {
            in_tx(&db, WORKER, async |tx| timers::fire(tx, 10).await).await?;
            faults::point(Point::TimerFired).await
        };
        let _failed = self.with_luck("timers fire", firing).await;
        self.nothing_changed().await;
    }

    pub(super) async fn relay(&mut self) {
        let (db, holder) = (self.db.clone(), Uuid::from_u128(self.holder));
        let relaying = async {
            let Some(fence) = in_tx(&db, WORKER, async |tx| outbox::lease(tx, holder).await).await? else { return Ok(()) };
            faults::point(Point::RelayLeased).await?;
            in_tx(&db, WORKER, async |tx| outbox::stamp(tx, fence, 10, react).await).await?;
            faults::point(Point::RelayCommitted).await
        };
        let _failed: Option<Result<(), DbErr>> = self.with_luck("the relay stamps", relaying).await;
        self.nothing_changed().await;
    }

    /// Looks for what was missed, as the reconcilers do once a minute.
    pub(super) async fn reconcile(&mut self) {
        let (db, scope) = (self.db.clone(), system());
        let asked = payments::ask_unheard(&db, &scope).await.unwrap() + payments::ask_not_ended(&db, &scope).await.unwrap();
        self.note(format_args!("the gateway is to be asked {asked} times"));
        // What is to be done has its timer or its task, whatever ended in the middle.
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

/// Does one task as a worker does, and settles it. Answers why it failed.
async fn do_task(
    db: &Db,
    gateway: &Gateway,
    letters: &mut BTreeMap<String, Letter>,
    claimed: &Claimed,
    retry_at: DateTime<Utc>,
) -> Result<Option<String>, DbErr> {
    faults::point(Point::ConsumeClaimed).await?;
    let scope = system();
    let done = match &claimed.task {
        Task::LapseCheckout { checkout } => match lapse(db, &scope, *checkout).await {
            Ok(_) => Ok(()),
            Err(OpError::Db(error)) => Err(StepError::Db(error)),
            Err(error) => panic!("{error}"),
        },
        Task::AdvancePayment { payment } => advance(db, &scope, &domain::payables(), gateway, *payment).await,
        Task::CancelPayment { payment } => cancel_payment(db, &scope, &domain::payables(), gateway, *payment).await,
        Task::MakeRefund { refund: id } => make_refund(db, &scope, &domain::payables(), gateway, *id).await,
        Task::ApplyWebhook { event, .. } => apply_webhook(db, &scope, &domain::payables(), gateway, event).await,
        Task::SendMail { letter } => {
            // A letter that goes twice takes its own place.
            letters.insert(claimed.id.to_string(), letter.clone());
            faults::point(Point::MailSent).await.map_err(StepError::Db)
        }
        Task::SandboxOutcome { .. } => panic!("there is no sandbox"),
        Task::ImportProducts { .. } => panic!("nothing is imported"),
        Task::SyncPayment { payment } => sync(db, &scope, &domain::payables(), gateway, *payment).await.map(drop),
    };
    let done = match done {
        Ok(()) => faults::point(Point::ConsumeHandled).await.map_err(StepError::Db),
        failed => failed,
    };
    match done {
        Ok(()) => {
            in_tx(db, WORKER, async |tx| tasks::finish(tx, claimed).await).await?;
            faults::point(Point::ConsumeSettled).await?;
            Ok(None)
        }
        Err(StepError::Gateway(GatewayError::Later(why))) => put_back(db, claimed, retry_at, why).await,
        Err(StepError::Db(DbErr::Custom(why))) => put_back(db, claimed, retry_at, why).await,
        Err(error) => panic!("a person must look at {claimed:?}: {error}"),
    }
}

async fn put_back(db: &Db, claimed: &Claimed, at: DateTime<Utc>, why: String) -> Result<Option<String>, DbErr> {
    let failure = tasks::Failure::new(tasks::Outcome::Retry, why.clone());
    in_tx(db, WORKER, async |tx| tasks::retry(tx, claimed, at, &failure).await).await?;
    Ok(Some(why))
}

/// The letters that follow from facts, as the workers have it.
fn react(stamped: &Stamped) -> Vec<NewTask> {
    let letter = match stamped.fact {
        Fact::Reserved { checkout } => Letter::Held { checkout },
        Fact::Confirmed { checkout } => Letter::Confirmed { checkout },
        Fact::Lapsed { checkout } => Letter::Lapsed { checkout },
        _ => return Vec::new(),
    };
    vec![NewTask::from(Task::SendMail { letter })]
}
