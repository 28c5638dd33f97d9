//! The reconcilers find and repair missed work once, and leave a healthy database alone.

use std::collections::BTreeMap;

use ::payments::sandbox::{SandboxOutcome, methods};
use chrono::TimeDelta;
use domain::{
    payments::{
        RefundState, advance, apply_webhook,
        gateway::{GatewayEvent, NewIntent, PaymentGateway},
        receive_webhook,
        state::PaymentState,
        sync,
        tasks::{AdvancePayment, ApplyWebhook},
    },
    platform::{
        Db, Money,
        access::Actor,
        idempotency::IdempotencyKey,
        ids::{CheckoutId, PaymentId, TaskId},
        in_tx,
        tasks::{self, AttemptFailure, AttemptOutcome, DiscardReason, Queue, Task, TaskFilter},
        timers,
    },
    reservations::{
        cancel, lapse,
        state::ReservationState,
        tasks::{HoldLapse, LapseCheckout},
    },
};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use testkit::{Kit, facts, on_both};
use uuid::Uuid;
use workers::reconcile::round;

use crate::journey::shop::{HOLD_SECS, Shop, system};

const ACTOR: Actor = Actor::System("test");

/// Longer than the time for which work may legitimately have no task.
fn a_while() -> TimeDelta {
    TimeDelta::seconds(121)
}

fn hold() -> TimeDelta {
    TimeDelta::seconds(i64::from(HOLD_SECS))
}

/// Runs a round and returns its repairs.
async fn repaired(db: &Db) -> BTreeMap<&'static str, u64> {
    let done = round(db).await.into_iter().map(|(what, repaired)| (what, repaired.unwrap()));
    done.filter(|(_, repaired)| *repaired > 0).collect()
}

fn nothing() -> BTreeMap<&'static str, u64> {
    BTreeMap::new()
}

fn only(what: &'static str, count: u64) -> BTreeMap<&'static str, u64> {
    BTreeMap::from([(what, count)])
}

async fn execute(db: &Db, sql: &str) -> u64 {
    in_tx(db, ACTOR, async |tx| tx.conn().execute_unprepared(sql).await).await.unwrap().rows_affected()
}

async fn forget(shop: &Shop, kind: &str) -> u64 {
    execute(&shop.kit.db, &format!("DELETE FROM tasks WHERE kind = '{kind}'")).await
}

async fn count_of<T: Task + PartialEq>(shop: &Shop, task: &T) -> usize {
    testkit::tasks_of::<T>(&shop.kit).await.iter().filter(|waiting| *waiting == task).count()
}

/// Returns the events that the sandbox is about to send.
async fn events(shop: &Shop) -> Vec<Uuid> {
    testkit::tasks_of::<SandboxOutcome>(&shop.kit).await.into_iter().map(|outcome| outcome.event).collect()
}

/// Reserves, and sends a payment with that method to the gateway.
async fn paying(shop: &Shop, name: &str, method: &str) -> (CheckoutId, PaymentId) {
    let buyer = shop.buyer(name).await;
    let checkout = shop.reserve(&buyer, &format!("reserve-{name}")).await;
    let payment = shop.pay(&buyer, checkout, method, &format!("payment-{name}")).await;
    advance(&shop.kit.db, &system(), &domain::registry::payables(), shop.sandbox.as_ref(), payment)
        .await
        .unwrap();
    forget(shop, "advance_payment").await;
    (checkout, payment)
}

/// Lapses an expired hold, as its timer does.
async fn lapses(shop: &Shop, checkout: CheckoutId) {
    assert_eq!(execute(&shop.kit.db, "DELETE FROM timers").await, 1);
    assert!(lapse(&shop.kit.db, &system(), checkout).await.unwrap());
}

/// Approves the payment on the confirmation page.
async fn approve(shop: &Shop, checkout: CheckoutId) {
    let url = shop.payment(checkout).await.action_url.unwrap();
    shop.sandbox.settle(url.rsplit('/').next().unwrap(), true).await.unwrap();
}

/// Approves an abandoned payment. It no longer shows its page, which is still open at the gateway.
async fn approve_given_up(shop: &Shop, payment: PaymentId) {
    let sql = format!("SELECT secret FROM sandbox_intents WHERE reference = '{payment}'");
    let row = shop
        .kit
        .db
        .reader()
        .query_one_raw(Statement::from_string(shop.kit.db.backend(), sql))
        .await
        .unwrap()
        .unwrap();
    let secret: String = row.try_get_by_index(0).unwrap();
    shop.sandbox.settle(&secret, true).await.unwrap();
}

/// Turns the only task of a queue into a dead letter.
async fn bury(shop: &Shop, queue: Queue) -> TaskId {
    in_tx(&shop.kit.db, ACTOR, async |tx| {
        let claimed = tasks::claim(tx, queue, &shop.kinds().names(), 1).await?.remove(0);
        assert!(tasks::bury(tx, &claimed, &AttemptFailure::new(AttemptOutcome::Discard, "never")).await?);
        Ok::<_, DbErr>(claimed.id)
    })
    .await
    .unwrap()
}

on_both! {
    async fn a_healthy_database_is_unchanged_and_the_cost_does_not_depend_on_its_size(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 100).await;
        let db = &shop.kit.db;
        let mut costs = Vec::new();
        for (from, until) in [(0, 2), (2, 12)] {
            for number in from..until {
                let (held, queued) = (
                    shop.buyer(&format!("held{number}")).await,
                    shop.buyer(&format!("queued{number}")).await,
                );
                shop.reserve(&held, &format!("held-key-{number}")).await;
                let checkout = shop.reserve(&queued, &format!("queued-key-{number}")).await;
                shop.pay(&queued, checkout, methods::SUCCESS, &format!("pay-key-{number}")).await;
                let late = shop.buyer(&format!("late{number}")).await;
                let checkout = shop.reserve(&late, &format!("late-key-{number}")).await;
                let payment =
                    shop.pay(&late, checkout, methods::LATE, &format!("late-pay-key-{number}")).await;
                advance(db, &system(), &domain::registry::payables(), shop.sandbox.as_ref(), payment)
                    .await
                    .unwrap();
            }
            // All rows are old enough to be checked, and all of them have their tasks.
            shop.kit.clock.advance(a_while());
            let (state, statements) = (shop.kit.state().await, db.statements());
            assert_eq!(repaired(db).await, nothing());
            costs.push(db.statements() - statements);
            assert_eq!(shop.kit.state().await, state);
        }
        assert_eq!(costs[0], costs[1]);
        assert!(costs[0] <= 24, "eight reconcilers of at most three statements: {costs:?}");
    }

    async fn a_payment_with_a_lost_webhook_is_confirmed_once_and_the_late_webhook_has_no_effect(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let db = &shop.kit.db;
        let (checkout, _) = paying(&shop, "ada", methods::CONFIRM).await;
        approve(&shop, checkout).await;
        let lost = events(&shop).await;
        assert_eq!(forget(&shop, "sandbox_outcome").await, 2, "the required action and the success");
        assert_eq!(repaired(db).await, nothing(), "the buyer may still be on the page");
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, only("payment_unheard", 1));
        assert_eq!(repaired(db).await, nothing(), "the request to the gateway is queued");
        shop.start();
        shop.eventually("it is confirmed", async || {
            shop.line(checkout).await.state == ReservationState::Confirmed
        })
        .await;
        shop.peace().await;
        let (before, payment) = (shop.kit.state().await, shop.payment(checkout).await);
        for event in &lost {
            shop.sandbox.deliver(*event).await.unwrap();
        }
        shop.peace().await;
        let after = shop.kit.state().await;
        assert_eq!(after.count("webhook_inbox"), 2, "both were received");
        for table in ["ledger_entries", "payment_allocations", "refunds", "outbox", "audit"] {
            assert_eq!(after.count(table), before.count(table), "{table}");
        }
        assert_eq!(shop.payment(checkout).await, payment);
        assert_eq!(facts(&shop.kit).await.iter().filter(|kind| *kind == "confirmed").count(), 1);
        assert_eq!(
            shop.subjects("ada").iter().filter(|subject| *subject == "Your reservation is confirmed").count(),
            1
        );
        shop.kit.clock.advance(TimeDelta::hours(1));
        assert_eq!(repaired(db).await, nothing());
        shop.close().await;
    }

    async fn a_payment_in_processing_is_polled_until_its_outcome_is_known(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::minutes(7), 1).await;
        let (db, gateway, system) = (&shop.kit.db, shop.sandbox.as_ref(), system());
        let (checkout, payment) = paying(&shop, "ada", methods::LATE).await;
        let outcomes = events(&shop).await;
        forget(&shop, "sandbox_outcome").await;
        shop.kit.clock.advance(TimeDelta::seconds(300));
        assert_eq!(repaired(db).await, nothing(), "processing takes some time");
        shop.kit.clock.advance(TimeDelta::seconds(1));
        assert_eq!(repaired(db).await, only("payment_unheard", 1));
        let before = shop.payment(checkout).await;
        assert!(
            !sync(db, &system, &domain::registry::payables(), gateway, payment).await.unwrap(),
            "no change"
        );
        forget(&shop, "sync_payment").await;
        let asked = shop.payment(checkout).await;
        assert_eq!(
            (asked.version, asked.updated_at, asked.state),
            (before.version, before.updated_at, before.state)
        );
        assert_eq!(repaired(db).await, nothing(), "the gateway was asked just now");
        shop.kit.clock.advance(TimeDelta::seconds(301));
        // The payment settles now, but no webhook arrives.
        for event in outcomes {
            let _not_told = shop.sandbox.deliver(event).await;
        }
        forget(&shop, "sandbox_outcome").await;
        forget(&shop, "apply_webhook").await;
        assert_eq!(repaired(db).await, only("payment_unheard", 1));
        assert!(sync(db, &system, &domain::registry::payables(), gateway, payment).await.unwrap());
        assert!(
            !sync(db, &system, &domain::registry::payables(), gateway, payment).await.unwrap(),
            "only once"
        );
        assert_eq!(shop.payment(checkout).await.state, PaymentState::Succeeded);
        assert_eq!(shop.line(checkout).await.state, ReservationState::Confirmed);
    }

    async fn an_abandoned_intent_is_cancelled_although_its_task_was_lost(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let db = &shop.kit.db;
        let (checkout, payment) = paying(&shop, "ada", methods::CONFIRM).await;
        let action = shop.payment(checkout).await.action_url.unwrap();
        shop.kit.clock.advance(hold());
        lapses(&shop, checkout).await;
        assert_eq!(forget(&shop, "cancel_payment").await, 1);
        assert_eq!(repaired(db).await, nothing(), "it was abandoned just now");
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, only("payment_not_ended", 1));
        assert_eq!(repaired(db).await, nothing());
        assert!(
            sync(db, &system(), &domain::registry::payables(), shop.sandbox.as_ref(), payment).await.unwrap()
        );
        forget(&shop, "sync_payment").await;
        assert!(shop.payment(checkout).await.intent_ended_at.is_some());
        // The page no longer has an effect.
        shop.sandbox.settle(action.rsplit('/').next().unwrap(), true).await.unwrap();
        assert!(
            !sync(db, &system(), &domain::registry::payables(), shop.sandbox.as_ref(), payment)
                .await
                .unwrap()
        );
        assert_eq!(shop.payment(checkout).await.state, PaymentState::Cancelled);
        shop.kit.clock.advance(TimeDelta::hours(1));
        assert_eq!(repaired(db).await, nothing());
    }

    async fn money_for_an_abandoned_payment_is_found_within_a_day(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let db = &shop.kit.db;
        let (checkout, payment) = paying(&shop, "ada", methods::CONFIRM).await;
        shop.kit.clock.advance(hold());
        lapses(&shop, checkout).await;
        approve_given_up(&shop, payment).await;
        forget(&shop, "sandbox_outcome").await;
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, nothing(), "the task that cancels it comes first");
        let dead = bury(&shop, Queue::Payments).await;
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, nothing(), "dead letters are left to administrators");
        let reason = DiscardReason::new("seen at the gateway").unwrap();
        tasks::discard(db, &system().as_admin(), dead, &reason).await.unwrap();
        assert_eq!(repaired(db).await, nothing(), "and so are discarded ones");
        execute(db, "DELETE FROM task_discards").await;
        assert_eq!(repaired(db).await, only("payment_not_ended", 1));
        forget(&shop, "sync_payment").await;
        shop.kit.clock.advance(TimeDelta::days(1));
        assert_eq!(repaired(db).await, nothing(), "more than a day has passed");
        assert!(
            sync(db, &system(), &domain::registry::payables(), shop.sandbox.as_ref(), payment).await.unwrap()
        );
        assert_eq!(shop.line(checkout).await.state, ReservationState::Confirmed, "the unit was available");
    }

    async fn a_choice_that_waits_without_its_task_is_queued_again(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let db = &shop.kit.db;
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        let payment = shop.pay(&ada, checkout, methods::SUCCESS, "pay-00001").await;
        forget(&shop, "advance_payment").await;
        assert_eq!(repaired(db).await, nothing());
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, only("payment_queued", 1));
        assert_eq!(repaired(db).await, nothing());
        assert_eq!(count_of(&shop, &AdvancePayment { payment }).await, 1);
        let dead = bury(&shop, Queue::Payments).await;
        assert_eq!(repaired(db).await, nothing(), "dead letters are left to administrators");
        tasks::requeue(db, &system().as_admin(), dead).await.unwrap();
        shop.start();
        shop.eventually("it is paid", async || shop.payment(checkout).await.state == PaymentState::Succeeded)
            .await;
        shop.close().await;
    }

    async fn a_refund_that_waits_without_its_task_is_queued_again(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let db = &shop.kit.db;
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        let payment = shop.pay(&ada, checkout, methods::SUCCESS, "pay-00001").await;
        advance(db, &system(), &domain::registry::payables(), shop.sandbox.as_ref(), payment).await.unwrap();
        let line = shop.line(checkout).await;
        cancel(db, &ada, line.id, &IdempotencyKey::new("cancel-0001").unwrap()).await.unwrap();
        assert_eq!(forget(&shop, "make_refund").await, 1);
        assert_eq!(repaired(db).await, nothing());
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, only("refund_pending", 1));
        assert_eq!(repaired(db).await, nothing());
        shop.start();
        shop.eventually("it is refunded", async || {
            shop.refunds(payment).await.iter().map(|refund| refund.state).collect::<Vec<_>>()
                == [RefundState::Done]
        })
        .await;
        shop.close().await;
    }

    async fn a_webhook_of_the_inbox_without_its_task_is_queued_again(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let (db, gateway) = (&shop.kit.db, shop.sandbox.as_ref());
        let (checkout, _) = paying(&shop, "ada", methods::SUCCESS).await;
        for event in events(&shop).await {
            shop.sandbox.deliver(event).await.unwrap();
        }
        // A payment of another shop that uses the same gateway account.
        let foreign = NewIntent {
            payment: PaymentId(Uuid::from_u128(9)),
            amount: Money::new(500, shop.payment(checkout).await.currency),
        };
        let intent = gateway.create(&foreign, "foreign").await.unwrap().id;
        let event = GatewayEvent { id: "foreign-event".to_owned(), intent: Some(intent) };
        receive_webhook(db, &system(), gateway.identity(), &event, "{}").await.unwrap();
        // An event that is not about a payment.
        let event = GatewayEvent { id: "other-event".to_owned(), intent: None };
        receive_webhook(db, &system(), gateway.identity(), &event, "{}").await.unwrap();
        assert_eq!(forget(&shop, "apply_webhook").await, 2);
        assert_eq!(repaired(db).await, nothing());
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, only("webhook_unapplied", 2));
        assert_eq!(repaired(db).await, nothing());
        for ApplyWebhook { event, .. } in testkit::tasks_of(&shop.kit).await {
            apply_webhook(db, &system(), &domain::registry::payables(), gateway, &event).await.unwrap();
        }
        forget(&shop, "apply_webhook").await;
        assert_eq!(repaired(db).await, nothing(), "both are applied");
    }

    async fn an_expired_hold_without_a_timer_lapses_with_its_letter(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let db = &shop.kit.db;
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        execute(db, "DELETE FROM timers").await;
        shop.kit.clock.advance(hold() + TimeDelta::seconds(29));
        assert_eq!(repaired(db).await, nothing(), "its timer may just have fired");
        shop.kit.clock.advance(TimeDelta::seconds(2));
        assert_eq!(repaired(db).await, only("hold_not_lapsed", 1));
        assert_eq!(repaired(db).await, nothing());
        assert_eq!(count_of(&shop, &LapseCheckout { checkout }).await, 1);
        shop.start();
        shop.peace().await;
        assert_eq!(shop.line(checkout).await.state, ReservationState::Expired);
        assert_eq!(shop.subjects("ada").last().map(String::as_str), Some("Your reservation has ended"));
        shop.close().await;
    }

    async fn a_missing_timer_of_a_hold_is_set_again(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 3).await;
        let db = &shop.kit.db;
        for name in ["ada", "bob", "eve"] {
            let buyer = shop.buyer(name).await;
            shop.reserve(&buyer, &format!("reserve-{name}")).await;
        }
        let before = shop.kit.state().await;
        execute(db, "DELETE FROM timers").await;
        assert_eq!(repaired(db).await, only("hold_without_timer", 3));
        assert_eq!(repaired(db).await, nothing());
        assert_eq!(shop.kit.state().await, before, "the timers are restored exactly");
    }

    async fn a_timer_without_a_hold_is_deleted(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 2).await;
        let db = &shop.kit.db;
        let (confirmed, _) = paying(&shop, "ada", methods::SUCCESS).await;
        let bob = shop.buyer("bob").await;
        shop.reserve(&bob, "reserve-bob").await;
        let before = shop.kit.state().await;
        let stray: Vec<_> =
            (0..250).map(|number| CheckoutId(Uuid::from_u128(number))).chain([confirmed]).collect();
        in_tx(db, ACTOR, async |tx| {
            for checkout in stray {
                timers::set::<HoldLapse>(tx, checkout, tx.now() + hold()).await?;
            }
            Ok::<_, DbErr>(())
        })
        .await
        .unwrap();
        assert_eq!(repaired(db).await, only("timer_stray", 200), "a round is limited");
        assert_eq!(repaired(db).await, only("timer_stray", 51));
        assert_eq!(repaired(db).await, nothing());
        assert_eq!(shop.kit.state().await, before, "the timer of the hold is kept");
    }

    async fn rows_with_a_task_do_not_hide_rows_without_one(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 1).await;
        let (db, gateway) = (&shop.kit.db, shop.sandbox.identity());
        for number in 0..420 {
            let event = GatewayEvent { id: format!("event-{number:03}"), intent: Some("intent".to_owned()) };
            receive_webhook(db, &system(), gateway, &event, "{}").await.unwrap();
            shop.kit.clock.advance(TimeDelta::milliseconds(1));
        }
        execute(db, "DELETE FROM tasks WHERE subject IN ('sandbox:event-007', 'sandbox:event-415')").await;
        shop.kit.clock.advance(a_while());
        assert_eq!(repaired(db).await, only("webhook_unapplied", 2));
        let filter = TaskFilter { subject: Some("sandbox:event-415".to_owned()), ..TaskFilter::default() };
        assert_eq!(tasks::count(db, &system().as_admin(), &filter).await.unwrap(), 1);
    }

    async fn several_processes_repair_each_defect_once(kit: Kit) {
        let shop = Shop::closed(kit, TimeDelta::hours(1), 20).await;
        let db = &shop.kit.db;
        for number in 0..10 {
            let buyer = shop.buyer(&format!("buyer{number}")).await;
            let checkout = shop.reserve(&buyer, &format!("reserve-key-{number}")).await;
            if number % 2 == 0 {
                shop.pay(&buyer, checkout, methods::SUCCESS, &format!("pay-key-{number}")).await;
            }
        }
        assert_eq!(forget(&shop, "advance_payment").await, 5);
        execute(db, "DELETE FROM timers").await;
        shop.kit.clock.advance(a_while());
        let others = [shop.kit.connect(3).await, shop.kit.connect(3).await, shop.kit.connect(3).await];
        let rounds = others.map(|db| tokio::spawn(async move { repaired(&db).await }));
        let mut sum = nothing();
        for done in rounds {
            for (what, count) in done.await.unwrap() {
                *sum.entry(what).or_default() += count;
            }
        }
        assert_eq!(sum, BTreeMap::from([("payment_queued", 5), ("hold_without_timer", 10)]));
        assert_eq!(testkit::tasks_of::<AdvancePayment>(&shop.kit).await.len(), 5);
    }
}
