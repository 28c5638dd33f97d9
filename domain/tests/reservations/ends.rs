//! Tests of operations that crash at any of their fault points: the state is that from before or after the
//! operation, never between, and a repeated call succeeds.

use chrono::TimeDelta;
use domain::{
    platform::faults::{Point, crash_at, fail_at},
    reservations::{Reserved, cancel, lapse, pay, queries::lines_of, reserve},
};
use testkit::{Kit, on_both, requests};

use crate::reservations::market::{buyer, check_books, key, market, number, system};

/// Calls `one` with 1, 2, 3 … until it returns no crash. Each call crashes a new operation at its n-th fault
/// point and asserts the state that the crash left. Returns the names of the points.
async fn points(mut one: impl AsyncFnMut(u32) -> Option<Point>) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for nth in 1.. {
        match one(nth).await {
            Some(point) => seen.push(point.name()),
            None => break,
        }
    }
    seen
}

on_both! {
    async fn a_reservation_that_crashes_at_any_point_is_all_or_nothing(kit: Kit) {
        let market = market(&kit).await;
        let seen = points(async |nth| {
            let name = format!("ada{nth}");
            let ada = buyer(&kit, &name).await;
            let request = market.request(kit.db.now(), &[(&market.cup, 1)], 100_000, &name);
            let before = kit.state().await;
            let crashed = crash_at(nth, reserve(&kit.db, &ada, &request)).await.err();
            let committed = crashed.is_none_or(|point| point == Point::ReserveCommitted);
            assert_eq!(kit.state().await == before, !committed, "{crashed:?}");
            let again = reserve(&kit.db, &ada, &request).await.unwrap();
            assert!(
                matches!(again, Reserved::Made { replayed, .. } if replayed == committed),
                "{crashed:?}: {again:?}"
            );
            crashed
        });
        assert_eq!(seen.await, ["reserve.gated", "reserve.keyed", "reserve.written", "reserve.committed"]);
        let checkouts = "SELECT COUNT(*) FROM checkouts c JOIN reservations r ON r.checkout_id = c.id AND \
                         r.state = 'HELD'";
        assert_eq!(number(&kit.db, checkouts).await, 5);
        check_books(&kit.db).await;
    }

    async fn a_choice_of_method_that_crashes_at_any_point_is_all_or_nothing(kit: Kit) {
        let market = market(&kit).await;
        let seen = points(async |nth| {
            let name = format!("ada{nth}");
            let ada = buyer(&kit, &name).await;
            let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], &name).await;
            let before = kit.state().await;
            let crashed = crash_at(nth, pay(&kit.db, &ada, &requests::pay(checkout, &name))).await.err();
            let committed = crashed.is_none_or(|point| point == Point::PayCommitted);
            assert_eq!(kit.state().await == before, !committed, "{crashed:?}");
            assert_eq!(
                pay(&kit.db, &ada, &requests::pay(checkout, &name)).await.unwrap().1,
                committed,
                "{crashed:?}"
            );
            crashed
        });
        assert_eq!(seen.await, ["pay.keyed", "pay.gated", "pay.written", "pay.committed"]);
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM tasks WHERE kind = 'advance_payment'").await, 5);
    }

    async fn a_lapse_that_crashes_at_any_point_is_all_or_nothing(kit: Kit) {
        let market = market(&kit).await;
        let seen = points(async |nth| {
            let name = format!("ada{nth}");
            let ada = buyer(&kit, &name).await;
            let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], &name).await;
            kit.clock.advance(TimeDelta::seconds(600));
            let before = kit.state().await;
            let crashed = crash_at(nth, lapse(&kit.db, &system(), checkout)).await.err();
            let committed = crashed.is_none_or(|point| point == Point::LapseCommitted);
            assert_eq!(kit.state().await == before, !committed, "{crashed:?}");
            assert_eq!(lapse(&kit.db, &system(), checkout).await.unwrap(), !committed, "{crashed:?}");
            crashed
        });
        assert_eq!(seen.await, ["lapse.gated", "lapse.written", "lapse.committed"]);
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM outbox WHERE kind = 'lapsed'").await, 4);
        check_books(&kit.db).await;
    }

    async fn a_cancellation_that_crashes_at_any_point_is_all_or_nothing(kit: Kit) {
        let market = market(&kit).await;
        let seen = points(async |nth| {
            let name = format!("ada{nth}");
            let ada = buyer(&kit, &name).await;
            let checkout = market.held(&kit.db, &ada, &[(&market.cup, 1)], &name).await;
            let line = lines_of(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap()[0].id;
            let before = kit.state().await;
            let crashed = crash_at(nth, cancel(&kit.db, &ada, line, &key(&name))).await.err();
            let committed = crashed.is_none_or(|point| point == Point::CancelCommitted);
            assert_eq!(kit.state().await == before, !committed, "{crashed:?}");
            assert_eq!(
                cancel(&kit.db, &ada, line, &key(&name)).await.unwrap(),
                (checkout, committed),
                "{crashed:?}"
            );
            crashed
        });
        assert_eq!(seen.await, ["cancel.keyed", "cancel.gated", "cancel.written", "cancel.committed"]);
        assert_eq!(
            number(&kit.db, "SELECT COUNT(*) FROM outbox WHERE kind = 'reservation_cancelled'").await,
            5
        );
        check_books(&kit.db).await;
    }

    async fn a_reservation_whose_step_fails_is_not_made_and_its_key_is_free(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let request = market.request(kit.db.now(), &[(&market.cup, 1)], 100_000, "one");
        let before = kit.state().await;
        for nth in 1..=3 {
            assert!(fail_at(nth, reserve(&kit.db, &ada, &request)).await.is_err());
            assert_eq!(kit.state().await, before);
        }
        assert!(
            fail_at(4, reserve(&kit.db, &ada, &request)).await.is_err(),
            "the reservation is committed, but the call failed"
        );
        assert!(matches!(reserve(&kit.db, &ada, &request).await, Ok(Reserved::Made { replayed: true, .. })));
    }
}
