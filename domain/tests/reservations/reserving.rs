//! Tests of reserving: what it writes, every refusal, repeated keys, and contention.

use chrono::TimeDelta;
use domain::{
    drops::publish,
    platform::{
        Currency, Money, Quantity,
        access::{Browse, Viewer, authorize},
        ids::{DropItemId, LegalTextId},
    },
    reservations::{
        AskRefusal, RequestedLine, ReserveRefusal, Reserved, ask, cancel_drop, lapse, queries,
        quote::{DeliveryMethod, QuoteRefusal},
        reserve,
        state::ReservationState,
    },
};
use testkit::{Kit, audit_actions, facts, on_both};
use uuid::Uuid;

use crate::reservations::market::{
    Market, buyer, check_books, codes, creator, draft_of, draft_with_place, euros, market, number, system,
    tiers, variant,
};

on_both! {
    async fn a_reservation_holds_its_units_and_leaves_a_fact_a_timer_and_an_audit_row(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let before = facts(&kit).await.len();
        let made = market
            .reserve(&kit.db, &ada, &[(&market.cup, 2), (&market.bowl, 1)], 10_000, "one")
            .await
            .unwrap();
        let Reserved::Made { checkout, replayed: false, .. } = made else { panic!("{made:?}") };
        let row = queries::checkout(&kit.db, &ada, checkout).await.unwrap().unwrap();
        assert_eq!((row.total_minor, row.due_now_minor, row.due_later_minor), (10_000, 2_500, 7_500));
        assert_eq!(row.expires_at, kit.db.now() + TimeDelta::seconds(600));
        let lines = queries::lines_of(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
        assert!(lines.iter().all(|line| line.state == ReservationState::Held), "{lines:?}");
        assert_eq!(facts(&kit).await.split_off(before), ["reserved", "stock_changed"]);
        assert_eq!(audit_actions(&kit).await.last().map(String::as_str), Some("checkout.reserve"));
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM timers").await, 1);
        assert_eq!(
            number(&kit.db, "SELECT COUNT(*) FROM payments WHERE state = 'PREPARING' AND intent IS NULL")
                .await,
            1
        );
        check_books(&kit.db).await;
    }

    async fn every_refusal_has_its_code_and_changes_nothing(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let draft =
            domain::drops::create(&kit.db, &market.creator, draft_of(&kit, "Draft")).await.unwrap();
        let hidden = domain::drops::NewItem {
            variant: variant(&kit, &market.creator, "HIDDEN").await,
            units: 5,
            per_buyer_max: 5,
            tiers: tiers(&[(2_000, None)]),
        };
        let hidden = domain::drops::add_item(&kit.db, &market.creator, draft.id, hidden).await.unwrap();
        let before = kit.state().await;
        let request = |units, total| market.request(kit.db.now(), &[(&market.cup, units)], total, "refused");
        let mut unknown = request(1, 9_999);
        unknown.lines = vec![RequestedLine {
            item: DropItemId(Uuid::from_u128(1)),
            units: Quantity::ONE,
            delivery: DeliveryMethod::Pickup,
            pickup_place: None,
        }];
        let mut none = request(1, 9_999);
        none.lines = Vec::new();
        let mut many = request(1, 9_999);
        many.lines = vec![many.lines[0]; 21];
        let mut unaccepted = request(1, 9_999);
        unaccepted.accepted = vec![LegalTextId(Uuid::from_u128(1))];
        let mut abroad = request(1, 9_999);
        abroad.lines[0].delivery = DeliveryMethod::Shipping;
        abroad.address.country = "JP".parse().unwrap();
        let mut early = request(1, 9_999);
        early.arrived_at = market.drop.opens_at - TimeDelta::microseconds(1);
        let mut draft = request(1, 9_999);
        draft.lines[0].item = hidden.id;
        use ReserveRefusal as R;
        for (request, expected) in [
            (none, R::LineCount),
            (many, R::LineCount),
            (unknown, R::ItemNotFound),
            (draft, R::ItemNotFound),
            (unaccepted, R::LegalTextsNotAccepted),
            (abroad, R::Quote(QuoteRefusal::NotShippedThere)),
            (early, R::NotOpen(market.drop.opens_at)),
            (request(4, 99_999), R::LimitExceeded),
        ] {
            assert_eq!(codes(reserve(&kit.db, &ada, &request).await), [expected]);
            assert_eq!(kit.state().await, before, "{expected:?}");
        }
        kit.clock.advance(TimeDelta::hours(24));
        let late = market.request(kit.db.now(), &[(&market.cup, 1)], 99_999, "late");
        assert_eq!(codes(reserve(&kit.db, &ada, &late).await), [R::Closed]);
        assert_eq!(kit.state().await, before);
    }

    async fn a_higher_price_is_refused_with_the_new_quote_and_a_lower_one_passes(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let before = kit.state().await;
        match market.reserve(&kit.db, &ada, &[(&market.cup, 1)], 3_999, "cheap").await.unwrap() {
            Reserved::Repriced(quote) => assert_eq!(quote.total(), euros(4_000)),
            other => panic!("{other:?}"),
        }
        let yen = Money::new(4_000, Currency::from_code("JPY").unwrap());
        let mut other = market.request(kit.db.now(), &[(&market.cup, 1)], 0, "yen");
        other.expected_total = yen;
        assert!(matches!(reserve(&kit.db, &ada, &other).await.unwrap(), Reserved::Repriced(_)));
        assert_eq!(kit.state().await, before);
        let dear = market.reserve(&kit.db, &ada, &[(&market.cup, 1)], 4_001, "dear").await.unwrap();
        assert!(matches!(dear, Reserved::Made { replayed: false, .. }));
    }

    async fn the_same_key_answers_the_same_checkout_and_another_request_with_it_is_refused(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let first = market.held(&kit.db, &ada, &[(&market.cup, 1)], "again").await;
        let before = kit.state().await;
        match market.reserve(&kit.db, &ada, &[(&market.cup, 1)], 100_000, "again").await.unwrap() {
            Reserved::Made { checkout, replayed: true, .. } => assert_eq!(checkout, first),
            other => panic!("{other:?}"),
        }
        let other = market.reserve(&kit.db, &ada, &[(&market.cup, 2)], 100_000, "again").await;
        assert_eq!(codes(other), [ReserveRefusal::KeyReused]);
        assert_eq!(kit.state().await, before);
        assert_ne!(market.held(&kit.db, &bob, &[(&market.cup, 1)], "again").await, first);
    }

    async fn a_key_is_free_again_after_a_refusal(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let all = market.held(&kit.db, &ada, &[(&market.bowl, 2)], "all").await;
        let refused = market.reserve(&kit.db, &bob, &[(&market.bowl, 1)], 100_000, "mine").await;
        assert_eq!(codes(refused), [ReserveRefusal::SoldOut]);
        kit.clock.advance(TimeDelta::seconds(600));
        // No lapse task has run: the expired hold counts as free at once.
        market.held(&kit.db, &bob, &[(&market.bowl, 2)], "mine").await;
        assert!(lapse(&kit.db, &system(), all).await.unwrap());
        check_books(&kit.db).await;
    }

    async fn lines_of_several_creators_are_held_together_or_not_at_all(kit: Kit) {
        let market = market(&kit).await;
        let other = creator(&kit, "Blue Loom").await;
        let terms = draft_with_place(&kit, &other, "Scarves").await;
        let drop = domain::drops::create(&kit.db, &other, terms).await.unwrap();
        let new = domain::drops::NewItem {
            variant: variant(&kit, &other, "SCARF").await,
            units: 1,
            per_buyer_max: 1,
            tiers: tiers(&[(3_000, None)]),
        };
        let scarf = domain::drops::add_item(&kit.db, &other, drop.id, new).await.unwrap();
        publish(&kit.db, &other, drop.id).await.unwrap();
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let both = market.held(&kit.db, &ada, &[(&market.cup, 1), (&scarf, 1)], "both").await;
        let lines = queries::lines_of(&kit.db, &[both]).await.unwrap().remove(&both).unwrap();
        assert_ne!(lines[0].creator_id, lines[1].creator_id);
        let before = kit.state().await;
        let refused = market.reserve(&kit.db, &bob, &[(&market.cup, 1), (&scarf, 1)], 100_000, "both").await;
        assert_eq!(codes(refused), [ReserveRefusal::SoldOut]);
        assert_eq!(kit.state().await, before);
    }

    async fn a_person_has_one_limit_over_all_checkouts(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        market.held(&kit.db, &ada, &[(&market.cup, 2)], "two").await;
        let refused = market.reserve(&kit.db, &ada, &[(&market.cup, 2)], 100_000, "more").await;
        assert_eq!(codes(refused), [ReserveRefusal::LimitExceeded]);
        market.held(&kit.db, &ada, &[(&market.cup, 1)], "last").await;
    }

    async fn tiers_count_held_units_and_a_lapsed_hold_gives_its_tier_back(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob, eve) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await, buyer(&kit, "eve").await);
        market.held(&kit.db, &ada, &[(&market.cup, 3)], "three").await;
        let second = market.held(&kit.db, &bob, &[(&market.cup, 2)], "straddles").await;
        let row = queries::checkout(&kit.db, &bob, second).await.unwrap().unwrap();
        assert_eq!(row.total_minor, 4_000 + 5_000);
        kit.clock.advance(TimeDelta::seconds(600));
        let third = market.held(&kit.db, &eve, &[(&market.cup, 3)], "after").await;
        assert_eq!(queries::checkout(&kit.db, &eve, third).await.unwrap().unwrap().total_minor, 12_000);
    }

    async fn a_quote_is_what_reserving_costs_and_hides_what_is_not_announced(kit: Kit) {
        let market = market(&kit).await;
        let scope = authorize(&Viewer::Public, Browse).unwrap();
        let line = |item, units: u32| {
            let units = units.try_into().unwrap();
            RequestedLine { item, units, delivery: DeliveryMethod::Shipping, pickup_place: None }
        };
        let country = "DE".parse().unwrap();
        let quote = ask(&kit.db, &scope, &[line(market.cup.id, 1)], country).await.unwrap();
        assert_eq!((quote.total_minor, quote.due_now_minor), (4_500, 1_000));
        let unknown = line(DropItemId(Uuid::from_u128(1)), 1);
        assert_eq!(codes(ask(&kit.db, &scope, &[unknown], country).await), [AskRefusal::ItemNotFound]);
        assert_eq!(codes(ask(&kit.db, &scope, &[], country).await), [AskRefusal::LineCount]);
        let japan = "JP".parse().unwrap();
        assert_eq!(
            codes(ask(&kit.db, &scope, &[line(market.cup.id, 1)], japan).await),
            [AskRefusal::Quote(QuoteRefusal::NotShippedThere)]
        );
        domain::reservations::withdraw_drop(&kit.db, &market.creator, market.drop.id).await.unwrap();
        let hidden = async || codes(ask(&kit.db, &scope, &[line(market.cup.id, 1)], country).await);
        assert_eq!(hidden().await, [AskRefusal::ItemNotFound]);
        cancel_drop(&kit.db, &market.creator, market.drop.id).await.unwrap();
        assert_eq!(hidden().await, [AskRefusal::ItemNotFound], "a cancelled draft is not public");
    }

    async fn sixty_four_buyers_of_the_last_units_have_exactly_ten_winners(kit: Kit) {
        let market = std::sync::Arc::new(market(&kit).await);
        let db = kit.connect(64).await;
        let mut buyers = Vec::new();
        for number in 0..64 {
            buyers.push(buyer(&kit, &format!("buyer{number}")).await);
        }
        let tries: Vec<_> = buyers
            .into_iter()
            .enumerate()
            .map(|(number, buyer)| {
                let (db, market) = (db.clone(), std::sync::Arc::clone(&market));
                tokio::spawn(async move { contend(&db, &market, &buyer, number).await })
            })
            .collect();
        let mut winners = 0;
        for one in tries {
            winners += usize::from(one.await.unwrap());
        }
        assert_eq!(winners, 10);
        assert_eq!(number(&kit.db, "SELECT SUM(units) FROM reservations WHERE state = 'HELD'").await, 10);
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM checkouts").await, 10);
        check_books(&kit.db).await;
    }
}

async fn contend(
    db: &domain::platform::Db,
    market: &Market,
    buyer: &domain::platform::access::BuyerScope,
    number: usize,
) -> bool {
    match market.reserve(db, buyer, &[(&market.cup, 1)], 100_000, &format!("contender{number}")).await {
        Ok(Reserved::Made { replayed: false, .. }) => true,
        Err(domain::platform::OpError::Refused(why)) => {
            assert!(why.iter().all(|refused| refused.code == ReserveRefusal::SoldOut), "{why:?}");
            false
        }
        other => panic!("{other:?}"),
    }
}
