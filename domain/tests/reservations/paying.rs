//! Tests of paying, of gateway reports, of lapses and of cancellations.

use chrono::TimeDelta;
use domain::{
    payments::{
        ApplyRefusal, apply,
        gateway::{Intent, IntentState},
        method::PaymentMethod,
        of_checkouts,
        state::PaymentState,
        tasks::CancelPayment,
    },
    platform::{
        Money,
        access::BuyerScope,
        ids::{CheckoutId, PaymentId, ReservationId},
    },
    reservations::{
        CancelRefusal, PayRefusal, cancel, lapse, pay, queries, state::ReservationState as State,
    },
};
use testkit::{Kit, facts, on_both, requests, tasks_of};
use uuid::Uuid;

use crate::reservations::market::{buyer, check_books, codes, key, market, number, system};

async fn payment(kit: &Kit, checkout: CheckoutId) -> domain::payments::Payment {
    of_checkouts(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap()
}

async fn intent(kit: &Kit, checkout: CheckoutId, state: IntentState) -> Intent {
    let payment = payment(kit, checkout).await;
    let captured =
        if state == IntentState::Succeeded { payment.amount() } else { Money::zero(payment.currency) };
    let id = format!("pi_{}", payment.id.0.simple());
    Intent {
        id,
        payment: payment.id,
        state,
        amount: payment.amount(),
        captured,
        action_url: None,
        decline_code: None,
        fingerprint: None,
    }
}

async fn tell(kit: &Kit, checkout: CheckoutId, state: IntentState) {
    let intent = intent(kit, checkout, state).await;
    apply(&kit.db, &system(), &domain::registry::payables(), requests::gateway().as_str(), &intent, None)
        .await
        .unwrap();
}

async fn states(kit: &Kit, checkout: CheckoutId) -> Vec<State> {
    let lines = queries::lines_of(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
    lines.iter().map(|line| line.state).collect()
}

async fn first_line(kit: &Kit, checkout: CheckoutId) -> ReservationId {
    queries::lines_of(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap()[0].id
}

pub(crate) async fn paid(kit: &Kit, buyer: &BuyerScope, checkout: CheckoutId, name: &str) {
    pay(&kit.db, buyer, &requests::pay(checkout, name)).await.unwrap();
    tell(kit, checkout, IntentState::Succeeded).await;
}

on_both! {
    async fn a_paid_deposit_confirms_every_line_once(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 2), (&market.bowl, 1)], "one").await;
        paid(&kit, &ada, checkout, "pay").await;
        let before = kit.state().await;
        tell(&kit, checkout, IntentState::Succeeded).await;
        tell(&kit, checkout, IntentState::Processing).await;
        tell(&kit, checkout, IntentState::Cancelled).await;
        assert_eq!(kit.state().await.count("ledger_entries"), before.count("ledger_entries"));
        assert_eq!(states(&kit, checkout).await, [State::Confirmed, State::Confirmed]);
        assert_eq!(payment(&kit, checkout).await.state, PaymentState::Succeeded);
        assert_eq!(facts(&kit).await.iter().filter(|kind| *kind == "confirmed").count(), 1);
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM timers").await, 0);
        assert_eq!(
            number(&kit.db, "SELECT SUM(amount_minor) FROM ledger_entries WHERE account = 'gateway'").await,
            2_500
        );
        check_books(&kit.db).await;
    }

    async fn time_in_our_queue_does_not_count_against_the_hold(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        kit.clock.advance(TimeDelta::seconds(500));
        pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap();
        kit.clock.advance(TimeDelta::seconds(200));
        assert!(!lapse(&kit.db, &system(), checkout).await.unwrap());
        tell(&kit, checkout, IntentState::RequiresMethod).await;
        let row = queries::checkout(&kit.db, &ada, checkout).await.unwrap().unwrap();
        assert_eq!(row.expires_at, kit.db.now() + TimeDelta::seconds(100));
        assert_eq!(payment(&kit, checkout).await.state, PaymentState::RequiresMethod);
    }

    async fn a_payment_in_process_extends_the_hold_once(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        let ends = kit.db.now() + TimeDelta::seconds(600);
        pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap();
        for _ in 0..3 {
            tell(&kit, checkout, IntentState::Processing).await;
        }
        let row = queries::checkout(&kit.db, &ada, checkout).await.unwrap().unwrap();
        assert_eq!(row.expires_at, ends + TimeDelta::seconds(600));
    }

    async fn a_lapse_ends_the_hold_and_cancels_the_open_payment(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap();
        tell(&kit, checkout, IntentState::RequiresAction).await;
        kit.clock.advance(TimeDelta::seconds(600));
        assert!(lapse(&kit.db, &system(), checkout).await.unwrap());
        assert!(!lapse(&kit.db, &system(), checkout).await.unwrap());
        assert_eq!(states(&kit, checkout).await, [State::Expired]);
        let payment = payment(&kit, checkout).await;
        assert_eq!(payment.state, PaymentState::Cancelled);
        assert!(tasks_of::<CancelPayment>(&kit).await.contains(&CancelPayment { payment: payment.id }));
    }

    async fn a_late_payment_confirms_all_lines_if_they_are_free(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1), (&market.bowl, 2)], "one").await;
        pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap();
        kit.clock.advance(TimeDelta::seconds(1_000));
        assert!(lapse(&kit.db, &system(), checkout).await.unwrap());
        tell(&kit, checkout, IntentState::Succeeded).await;
        assert_eq!(states(&kit, checkout).await, [State::Confirmed, State::Confirmed]);
        check_books(&kit.db).await;
    }

    async fn a_payment_that_comes_too_late_is_refunded_in_full(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        for swept in [true, false] {
            let (first, second) = (format!("first{swept}"), format!("second{swept}"));
            let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1), (&market.bowl, 2)], &first).await;
            pay(&kit.db, &ada, &requests::pay(checkout, &first)).await.unwrap();
            kit.clock.advance(TimeDelta::seconds(1_000));
            let other = market.held(&kit.db, &bob, &[(&market.bowl, 1)], &second).await;
            if swept {
                assert!(lapse(&kit.db, &system(), checkout).await.unwrap());
            }
            tell(&kit, checkout, IntentState::Succeeded).await;
            assert_eq!(states(&kit, checkout).await, [State::Refunded, State::Refunded]);
            let refunded =
                "SELECT SUM(amount_minor) FROM refunds WHERE reason = 'PAID_TOO_LATE' AND state = 'PENDING'";
            assert_eq!(number(&kit.db, refunded).await, if swept { 2_000 } else { 4_000 });
            check_books(&kit.db).await;
            cancel(&kit.db, &bob, first_line(&kit, other).await, &key(&second)).await.unwrap();
        }
    }

    async fn paying_is_refused_when_there_is_nothing_to_pay(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        let before = kit.state().await;
        let foreign = pay(&kit.db, &bob, &requests::pay(checkout, "theirs")).await.unwrap_err();
        let unknown =
            pay(&kit.db, &bob, &requests::pay(CheckoutId(Uuid::from_u128(1)), "none")).await.unwrap_err();
        assert_eq!(format!("{foreign:?}"), format!("{unknown:?}"));
        assert_eq!(kit.state().await, before);
        pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap();
        let before = kit.state().await;
        assert_eq!(
            codes(pay(&kit.db, &ada, &requests::pay(checkout, "twice")).await),
            [PayRefusal::PaymentInProcess]
        );
        assert!(pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap().1);
        let mut reused = requests::pay(checkout, "pay");
        reused.method = PaymentMethod::new("pm_other").unwrap();
        assert_eq!(codes(pay(&kit.db, &ada, &reused).await), [PayRefusal::KeyReused]);
        tell(&kit, checkout, IntentState::Succeeded).await;
        assert_eq!(
            codes(pay(&kit.db, &ada, &requests::pay(checkout, "after")).await),
            [PayRefusal::AlreadyPaid]
        );
        let lapsed = market.held(&kit.db, &bob, &[(&market.cup, 1)], "lapses").await;
        kit.clock.advance(TimeDelta::seconds(600));
        assert_eq!(codes(pay(&kit.db, &bob, &requests::pay(lapsed, "late")).await), [PayRefusal::HoldOver]);
        assert_eq!(before.count("refunds"), 0);
    }

    async fn a_report_about_another_amount_or_payment_is_rejected(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap();
        let before = kit.state().await;
        let good = intent(&kit, checkout, IntentState::Succeeded).await;
        let mut wrong = good.clone();
        wrong.amount.minor += 1;
        let refused = async |gateway: &str, intent: &Intent| {
            let payables = domain::registry::payables();
            codes(apply(&kit.db, &system(), &payables, gateway, intent, None).await)
        };
        let gateway = requests::gateway();
        assert_eq!(refused(gateway.as_str(), &wrong).await, [ApplyRefusal::WrongAmount]);
        let mut unknown = good.clone();
        unknown.payment = PaymentId(Uuid::from_u128(1));
        assert_eq!(refused(gateway.as_str(), &unknown).await, [ApplyRefusal::UnknownPayment]);
        assert_eq!(refused("other", &good).await, [ApplyRefusal::UnknownPayment]);
        assert_eq!(kit.state().await, before);
    }

    async fn an_unpaid_checkout_is_released_whole_and_a_paid_line_is_refunded_alone(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let unpaid = market.held(&kit.db, &ada, &[(&market.cup, 1), (&market.bowl, 1)], "unpaid").await;
        let line = first_line(&kit, unpaid).await;
        assert_eq!(cancel(&kit.db, &ada, line, &key("a")).await.unwrap(), (unpaid, false));
        assert_eq!(cancel(&kit.db, &ada, line, &key("a")).await.unwrap(), (unpaid, true));
        assert_eq!(states(&kit, unpaid).await, [State::Cancelled, State::Cancelled]);
        assert_eq!(codes(cancel(&kit.db, &ada, line, &key("b")).await), [CancelRefusal::Over]);
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1), (&market.bowl, 1)], "paid").await;
        paid(&kit, &ada, checkout, "pay").await;
        let line = first_line(&kit, checkout).await;
        assert_eq!(codes(cancel(&kit.db, &ada, line, &key("a")).await), [CancelRefusal::KeyReused]);
        cancel(&kit.db, &ada, line, &key("c")).await.unwrap();
        assert_eq!(states(&kit, checkout).await, [State::Refunded, State::Confirmed]);
        assert_eq!(number(&kit.db, "SELECT SUM(amount_minor) FROM refunds").await, 1_000);
        check_books(&kit.db).await;
    }

    async fn cancelling_is_refused_after_the_close_while_paying_and_for_strangers(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], "one").await;
        let line = first_line(&kit, checkout).await;
        let before = kit.state().await;
        let foreign = cancel(&kit.db, &bob, line, &key("theirs")).await.unwrap_err();
        let unknown =
            cancel(&kit.db, &bob, ReservationId(Uuid::from_u128(1)), &key("none")).await.unwrap_err();
        assert_eq!(format!("{foreign:?}"), format!("{unknown:?}"));
        assert_eq!(kit.state().await, before);
        pay(&kit.db, &ada, &requests::pay(checkout, "pay")).await.unwrap();
        assert_eq!(codes(cancel(&kit.db, &ada, line, &key("soon")).await), [CancelRefusal::PaymentInProcess]);
        tell(&kit, checkout, IntentState::Succeeded).await;
        kit.clock.advance(TimeDelta::hours(24));
        let before = kit.state().await;
        assert_eq!(codes(cancel(&kit.db, &ada, line, &key("late")).await), [CancelRefusal::WindowClosed]);
        assert_eq!(kit.state().await, before);
    }
}
