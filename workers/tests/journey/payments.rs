//! Reservations and their payments: paid in time, never paid, and paid after the hold had expired.

use ::payments::sandbox::{SandboxOutcome, methods};
use chrono::TimeDelta;
use domain::{
    payments::{RefundState, advance, apply_webhook, state::PaymentState, tasks::ApplyWebhook},
    reservations::state::ReservationState,
};
use testkit::{Kit, on_both};

use crate::journey::shop::{HOLD_SECS, Shop, system};

/// The time that the sandbox takes to settle a payment with [`methods::LATE`].
fn late() -> TimeDelta {
    TimeDelta::seconds(20)
}

fn hold() -> TimeDelta {
    TimeDelta::seconds(i64::from(HOLD_SECS))
}

on_both! {
    async fn a_deposit_that_is_paid_confirms_the_reservation(kit: Kit) {
        let shop = Shop::open(kit, late(), 3).await;
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        shop.eventually("the letter about the hold", async || shop.subjects("ada").len() == 1).await;
        shop.pay(&ada, checkout, methods::SUCCESS, "pay-00001").await;
        shop.eventually("the letter about the confirmation", async || shop.subjects("ada").len() == 2).await;
        assert_eq!(
            shop.subjects("ada"),
            ["Reserved until Monday, 2 March 2026, 10:10 UTC", "Your reservation is confirmed"]
        );
        shop.peace().await;
        let payment = shop.payment(checkout).await;
        assert_eq!((payment.state, payment.captured_minor), (PaymentState::Succeeded, 1_000));
        assert_eq!(shop.line(checkout).await.state, ReservationState::Confirmed);
        let held = shop.mails("ada").swap_remove(0).text;
        for part in ["Hello ada,", "1 x Water Jug, Blue: 100.00 EUR", "Deposit: 10.00 EUR", "10:10 UTC"] {
            assert!(held.contains(part), "{part}: {held}");
        }
        shop.close().await;
    }

    async fn a_payment_that_is_processed_confirms_the_reservation_when_it_settles(kit: Kit) {
        let shop = Shop::open(kit, late(), 3).await;
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        shop.pay(&ada, checkout, methods::LATE, "pay-00001").await;
        shop.eventually("the payment is processed", async || {
            shop.payment(checkout).await.state == PaymentState::Processing
        })
        .await;
        shop.later(late()).await;
        shop.eventually("the payment succeeds", async || {
            shop.payment(checkout).await.state == PaymentState::Succeeded
        })
        .await;
        assert_eq!(shop.line(checkout).await.state, ReservationState::Confirmed);
        shop.close().await;
    }

    async fn a_payment_confirmed_on_its_page_confirms_the_reservation(kit: Kit) {
        let shop = Shop::open(kit, late(), 3).await;
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        shop.pay(&ada, checkout, methods::CONFIRM, "pay-00001").await;
        shop.eventually("the payment requires an action", async || {
            shop.payment(checkout).await.action_url.is_some()
        })
        .await;
        let url = shop.payment(checkout).await.action_url.unwrap();
        shop.sandbox.settle(url.rsplit('/').next().unwrap(), true).await.unwrap();
        // Only the webhook tells the shop that the buyer has paid.
        shop.eventually("the payment succeeds", async || {
            shop.payment(checkout).await.state == PaymentState::Succeeded
        })
        .await;
        shop.close().await;
    }

    async fn an_expired_hold_ends_with_its_payment(kit: Kit) {
        let shop = Shop::open(kit, late(), 1).await;
        let (ada, bob) = (shop.buyer("ada").await, shop.buyer("bob").await);
        let checkout = shop.reserve(&ada, "reserve-1").await;
        shop.pay(&ada, checkout, methods::DECLINED, "pay-00001").await;
        shop.eventually("the payment is declined", async || {
            shop.payment(checkout).await.decline_code.is_some()
        })
        .await;
        shop.peace().await;
        shop.later(hold()).await;
        shop.eventually("the reservation expires", async || {
            shop.line(checkout).await.state == ReservationState::Expired
        })
        .await;
        shop.peace().await;
        assert_eq!(shop.payment(checkout).await.state, PaymentState::Cancelled);
        assert_eq!(shop.subjects("ada").last().map(String::as_str), Some("Your reservation has ended"));
        // The unit is available again.
        shop.reserve(&bob, "reserve-2").await;
        shop.close().await;
    }

    async fn money_that_arrives_after_the_unit_was_sold_is_refunded_in_full(kit: Kit) {
        let shop = Shop::open(kit, TimeDelta::hours(2), 1).await;
        let (ada, bob) = (shop.buyer("ada").await, shop.buyer("bob").await);
        let first = shop.reserve(&ada, "reserve-1").await;
        let payment = shop.pay(&ada, first, methods::LATE, "pay-00001").await;
        shop.eventually("the payment is processed", async || {
            shop.payment(first).await.state == PaymentState::Processing
        })
        .await;
        // The hold is extended once, because its payment is being processed.
        shop.later(hold()).await;
        assert_eq!(shop.line(first).await.state, ReservationState::Held);
        shop.later(hold()).await;
        shop.eventually("the reservation expires", async || {
            shop.line(first).await.state == ReservationState::Expired
        })
        .await;
        let second = shop.reserve(&bob, "reserve-2").await;
        shop.pay(&bob, second, methods::SUCCESS, "pay-00002").await;
        shop.eventually("Bob's reservation is confirmed", async || {
            shop.line(second).await.state == ReservationState::Confirmed
        })
        .await;
        shop.later(TimeDelta::hours(2)).await;
        shop.eventually("the payment is refunded", async || {
            shop.refunds(payment)
                .await
                .iter()
                .map(|refund| (refund.amount_minor, refund.state))
                .collect::<Vec<_>>()
                == [(1_000, RefundState::Done)]
        })
        .await;
        assert_eq!(shop.line(first).await.state, ReservationState::Refunded);
        shop.close().await;
    }

    async fn money_that_arrives_after_the_hold_expired_takes_the_unit_again_if_it_is_available(kit: Kit) {
        let shop = Shop::open(kit, TimeDelta::hours(2), 1).await;
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        let payment = shop.pay(&ada, checkout, methods::LATE, "pay-00001").await;
        shop.eventually("the payment is processed", async || {
            shop.payment(checkout).await.state == PaymentState::Processing
        })
        .await;
        shop.later(hold() + hold()).await;
        shop.eventually("the reservation expires", async || {
            shop.line(checkout).await.state == ReservationState::Expired
        })
        .await;
        shop.later(TimeDelta::hours(2)).await;
        shop.eventually("Ada's reservation is confirmed", async || {
            shop.line(checkout).await.state == ReservationState::Confirmed
        })
        .await;
        shop.peace().await;
        assert!(shop.refunds(payment).await.is_empty());
        shop.close().await;
    }

    async fn the_webhook_of_an_old_decline_does_not_undo_the_choice_of_a_new_method(kit: Kit) {
        let shop = Shop::closed(kit, late(), 1).await;
        let (db, system) = (&shop.kit.db, system());
        let ada = shop.buyer("ada").await;
        let checkout = shop.reserve(&ada, "reserve-1").await;
        let payment = shop.pay(&ada, checkout, methods::DECLINED, "pay-00001").await;
        advance(db, &system, &domain::registry::payables(), shop.sandbox.as_ref(), payment).await.unwrap();
        assert_eq!(shop.payment(checkout).await.state, PaymentState::RequiresMethod);
        // The webhook of the decline is still in flight when the buyer chooses another payment method.
        for SandboxOutcome { event } in testkit::tasks_of(&shop.kit).await {
            shop.sandbox.deliver(event).await.unwrap();
        }
        shop.pay(&ada, checkout, methods::SUCCESS, "pay-00002").await;
        for ApplyWebhook { event, .. } in testkit::tasks_of(&shop.kit).await {
            apply_webhook(db, &system, &domain::registry::payables(), shop.sandbox.as_ref(), &event)
                .await
                .unwrap();
        }
        advance(db, &system, &domain::registry::payables(), shop.sandbox.as_ref(), payment).await.unwrap();
        assert_eq!(shop.payment(checkout).await.state, PaymentState::Succeeded);
    }
}
