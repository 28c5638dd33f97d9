//! Tests of the desk: many concurrent requests that are decided in batches, mixed with every other operation
//! that moves units, on both databases.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use domain::{
    drops::DropItem,
    payments::{
        self, apply,
        gateway::{Intent, IntentState},
    },
    platform::{
        Db, OpError,
        access::BuyerScope,
        ids::{CheckoutId, EntityId, ReservationId},
        text::TextLine,
    },
    reservations::{
        ItemChange, ReserveRefusal, ReserveRequest, Reserved, cancel,
        desk::{Desk, DeskSettings},
        lapse, queries, reserve,
    },
};
use futures_util::{FutureExt, future::join_all};
use sea_orm::ConnectionTrait;
use testkit::{Kit, market::item, on_both};
use tokio::task::JoinSet;

use crate::reservations::market::{Market, buyer, check_books, codes, key, market, number, system, tiers};

/// Random numbers from a seed (xorshift64*).
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

async fn buyers(kit: &Kit, count: usize) -> Arc<Vec<BuyerScope>> {
    let mut buyers = Vec::with_capacity(count);
    for number in 0..count {
        buyers.push(buyer(kit, &format!("buyer{number}")).await);
    }
    Arc::new(buyers)
}

/// Opens one drop with two items of `units` units each, at most three per person of each item and four in the
/// drop. The first ten units are cheaper.
async fn run(kit: &Kit, market: &Market, title: &str, units: u32) -> [DropItem; 2] {
    let marketplace = testkit::market::Market::over(&kit.db);
    let plan = marketplace.drop(&market.creator, title).terms(|drop| drop.per_buyer_max = Some(4.into()));
    let plan = ["A", "B"].into_iter().fold(plan, |plan, name| {
        let sku = format!("{}-{name}", title.replace(' ', "-").to_uppercase());
        plan.with(item(&sku).units(units).limit(3).prices(&[(4_000, Some(10)), (5_000, None)]))
    });
    plan.open().await.items.try_into().unwrap()
}

/// Settings of a desk on which no request times out, however slow the machine is.
fn patient() -> DeskSettings {
    DeskSettings { wait_max: Duration::from_secs(300), ..DeskSettings::default() }
}

/// Runs work on a single-threaded runtime: tasks that it spawns first run when the work itself waits.
fn on_one_thread<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
        });
        thread.join().unwrap()
    })
}

/// Applies a gateway report that the deposit is paid.
async fn pay(db: &Db, checkout: CheckoutId, fingerprint: Option<String>) {
    let payment = payments::of_checkouts(db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
    let intent = Intent {
        id: format!("intent-{}", payment.id.public()),
        payment: payment.id,
        state: IntentState::Succeeded,
        amount: payment.amount(),
        captured: payment.amount(),
        action_url: None,
        decline_code: None,
        fingerprint,
    };
    apply(db, &system(), &domain::registry::payables(), &payment.gateway, &intent, None).await.unwrap();
}

/// Acts as one buyer of the crowd: reserves, sometimes twice with the same key, and then pays, cancels, or
/// does nothing. Returns whether the request was refused as sold out.
async fn come(
    desk: Desk,
    db: Db,
    who: BuyerScope,
    request: ReserveRequest,
    then: u64,
    first_lapses: Arc<BTreeSet<u64>>,
) -> bool {
    let answers = if then.is_multiple_of(5) {
        let (one, other) = tokio::join!(desk.reserve(&who, request.clone()), desk.reserve(&who, request));
        let made = |answer: &Result<Reserved, _>| match answer {
            Ok(Reserved::Made { checkout, replayed, .. }) => Some((*checkout, *replayed)),
            _ => None,
        };
        if let (Some((first, a)), Some((second, b))) = (made(&one), made(&other)) {
            assert!(first == second && a != b, "one call makes the checkout, and the other replays it");
        }
        [one, other].into_iter().find(|answer| made(answer).is_some_and(|(_, replayed)| !replayed))
    } else {
        Some(desk.reserve(&who, request).await)
    };
    let checkout = match answers {
        Some(Ok(Reserved::Made { checkout, .. })) => checkout,
        Some(Err(OpError::Refused(why))) => {
            use ReserveRefusal as R;
            let expected =
                |code| matches!(code, R::SoldOut | R::LimitExceeded | R::TooManyHolds | R::HoldsLapsed(_));
            assert!(why.iter().all(|refused| expected(refused.code)), "{why:?}");
            return why.iter().any(|refused| refused.code == R::SoldOut);
        }
        None => return false,
        other => panic!("{other:?}"),
    };
    match then {
        0..3 => pay(&db, checkout, None).await,
        3..5 => {
            let lines: Vec<ReservationId> = queries::lines_of(&db, &[checkout])
                .await
                .unwrap()
                .remove(&checkout)
                .unwrap()
                .iter()
                .map(|line| line.id)
                .collect();
            match cancel(&db, &who, lines[0], &key(&checkout.public()[10..20])).await {
                Ok(_) => {}
                Err(OpError::Refused(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        // No hold has expired, so lapsing does nothing.
        5 if !first_lapses.is_empty() => assert!(!lapse(&db, &system(), checkout).await.unwrap()),
        _ => {}
    }
    false
}

/// Runs `crowd` concurrent requests, most on one drop and some on two, and then sells the rest. Checks the
/// invariants I1, I2, I10 and I11.
async fn storm(kit: &Kit, market: &Market, buyers: &Arc<Vec<BuyerScope>>, seed: u64, crowd: usize) {
    const UNITS: u32 = 40;
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let items = run(kit, market, &format!("Seed {seed} of {crowd}"), UNITS).await;
    let other = run(kit, market, &format!("Other {seed} of {crowd}"), UNITS).await;
    let db = kit.connect(16).await;
    let desks = [Desk::new(&db, patient()), Desk::new(&db, patient())];
    let lapses = Arc::new(BTreeSet::from([seed]));
    let mut storm = JoinSet::new();
    for at in 0..crowd {
        let who = &buyers[at % buyers.len()];
        let units = u32::try_from(1 + dice.below(3)).unwrap();
        let wish: Vec<(&DropItem, u32)> = match dice.below(8) {
            0 => vec![(&items[0], units), (&other[1], 1)],
            1 => vec![(&items[0], 1), (&items[1], 1)],
            2 => vec![(&other[0], units)],
            way => vec![(&items[usize::from(way % 2 == 0)], units)],
        };
        let request = market.request(kit.db.now(), &wish, 1_000_000, &format!("storm-{seed}-{crowd}-{at}"));
        // Two desks act like two processes, as far as the database can tell.
        let desk = desks[usize::try_from(dice.below(2)).unwrap()].clone();
        storm.spawn(come(desk, db.clone(), *who, request, dice.below(10), Arc::clone(&lapses)));
    }
    while let Some(done) = storm.join_next().await {
        done.unwrap();
    }
    check_books(&kit.db).await;
    // The rest is sold to the last unit: no unit is oversold, and no request is falsely refused.
    for (place, item) in [&items[0], &items[1], &other[0], &other[1]].into_iter().enumerate() {
        let sold_out = async |from: usize| {
            for (turn, who) in buyers.iter().enumerate().skip(from) {
                let request = market.request(
                    kit.db.now(),
                    &[(item, 1)],
                    1_000_000,
                    &format!("rest-{seed}-{crowd}-{place}-{turn}"),
                );
                match desks[0].reserve(who, request).await {
                    Err(OpError::Refused(why))
                        if why.iter().any(|refused| refused.code == ReserveRefusal::SoldOut) =>
                    {
                        return true;
                    }
                    Ok(Reserved::Made { .. }) | Err(OpError::Refused(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
            false
        };
        assert!(sold_out(0).await || sold_out(0).await, "the buyers want more units than there are");
        let taken = format!(
            "SELECT CAST(SUM(units) AS BIGINT) FROM reservations WHERE state IN ('HELD', 'CONFIRMED') AND \
             drop_item_id = {}",
            literal(&kit.db, item.id.uuid())
        );
        assert_eq!(
            number(&kit.db, &taken).await,
            i64::from(UNITS),
            "seed {seed}, {crowd} at once, item {place}"
        );
    }
    check_books(&kit.db).await;
}

fn literal(db: &Db, id: uuid::Uuid) -> String {
    match db.backend() {
        sea_orm::DbBackend::Postgres => format!("'{id}'"),
        _ => format!("x'{}'", id.simple()),
    }
}

on_both! {
    async fn sixty_four_concurrent_requests_sell_exactly_the_units_that_exist(kit: Kit) {
        let market = market(&kit).await;
        let buyers = buyers(&kit, 64).await;
        for seed in 1..=8 {
            storm(&kit, &market, &buyers, seed, 64).await;
        }
    }

    async fn a_thousand_concurrent_requests_sell_exactly_the_units_that_exist(kit: Kit) {
        let market = market(&kit).await;
        let buyers = buyers(&kit, 250).await;
        for seed in 21..=22 {
            storm(&kit, &market, &buyers, seed, 1_000).await;
        }
    }

    async fn a_hundred_requests_of_one_person_get_no_more_than_the_limit(kit: Kit) {
        let market = market(&kit).await;
        let items = run(&kit, &market, "Pressed", 100).await;
        let ada = buyer(&kit, "ada").await;
        let db = kit.connect(10).await;
        let desks = [Desk::new(&db, patient()), Desk::new(&db, patient())];
        let mut pressing = JoinSet::new();
        for at in 0..100_usize {
            // Each request has its own key and goes to one of two desks; some cover two drops.
            let mut wish = vec![(&items[0], 1)];
            if at % 10 == 0 {
                wish.push((&market.bowl, 1));
            }
            let request = market.request(kit.db.now(), &wish, 1_000_000, &format!("press-{at}"));
            let (desk, ada) = (desks[at % 2].clone(), ada);
            pressing.spawn(async move { desk.reserve(&ada, request).await });
        }
        let mut made = 0;
        while let Some(answer) = pressing.join_next().await {
            match answer.unwrap() {
                Ok(Reserved::Made { .. }) => made += 1,
                Err(OpError::Refused(why)) => {
                    use ReserveRefusal as R;
                    assert!(
                        why.iter().all(|refused| matches!(refused.code, R::LimitExceeded | R::TooManyHolds)),
                        "{why:?}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(made, 3);
        check_books(&kit.db).await;
    }

    async fn a_batch_of_fifty_costs_as_many_statements_as_one_of_two(kit: Kit) {
        let market = market(&kit).await;
        let buyers = buyers(&kit, 60).await;
        let items = run(&kit, &market, "Counted", 100).await;
        let counts = on_one_thread(async {
            let db = kit.connect(4).await;
            let desk = Desk::new(&db, patient());
            let mut counts = Vec::new();
            // The first request loads the item's drop into the desk's cache.
            for (from, to) in [(0, 1), (1, 3), (3, 53)] {
                let requests = (from..to).map(|at: usize| {
                    (
                        &buyers[at],
                        market.request(kit.db.now(), &[(&items[0], 1)], 1_000_000, &format!("counted-{at}")),
                    )
                });
                let before = db.statements();
                // All requests are queued before the desk's own task first runs.
                let answers = join_all(requests.map(|(who, request)| desk.reserve(who, request))).await;
                let made =
                    answers.iter().filter(|answer| matches!(answer, Ok(Reserved::Made { .. }))).count();
                assert_eq!(made, to - from);
                counts.push(db.statements() - before);
            }
            counts
        });
        assert_eq!(counts[1], counts[2], "{counts:?}");
        check_books(&kit.db).await;
    }

    async fn the_first_hold_freezes_a_drop_also_after_a_refusal(kit: Kit) {
        let market = market(&kit).await;
        let items = run(&kit, &market, "Cold", 20).await;
        let buyers = buyers(&kit, 2).await;
        let (refused, made) = on_one_thread(async {
            let db = kit.connect(4).await;
            let desk = Desk::new(&db, patient());
            let too_many = market.request(kit.db.now(), &[(&items[0], 4)], 1_000_000, "too-many");
            let one = market.request(kit.db.now(), &[(&items[0], 1)], 1_000_000, "just-one");
            let second = async {
                // The first request is being decided when this one arrives, and leaves its state for the next
                // batch.
                tokio::task::yield_now().await;
                desk.reserve(&buyers[1], one).await
            };
            tokio::join!(desk.reserve(&buyers[0], too_many), second)
        });
        assert_eq!(codes(refused), [ReserveRefusal::LimitExceeded]);
        assert!(matches!(made, Ok(Reserved::Made { .. })));
        assert_eq!(
            number(&kit.db, "SELECT COUNT(*) FROM drops WHERE title = 'Cold' AND first_held_at IS NOT NULL")
                .await,
            1
        );
        check_books(&kit.db).await;
    }

    async fn a_desk_is_crowded_as_long_as_a_queue_is_half_full(kit: Kit) {
        let market = market(&kit).await;
        let items = run(&kit, &market, "Crowded", 20).await;
        let buyers = buyers(&kit, 4).await;
        on_one_thread(async {
            for (queue_max, comers) in [(1_usize, 1_usize), (4, 2)] {
                let db = kit.connect(4).await;
                let desk = Desk::new(&db, DeskSettings { queue_max, ..patient() });
                let wish = |name: &str| market.request(kit.db.now(), &[(&items[0], 1)], 1_000_000, name);
                // The first request loads the item's drop into the desk's cache.
                desk.reserve(&buyers[0], wish(&format!("first-of-{queue_max}"))).await.unwrap();
                while desk.is_crowded() {
                    tokio::task::yield_now().await;
                }
                let come = (1..=comers)
                    .map(|at| desk.reserve(&buyers[at], wish(&format!("comer-{queue_max}-{at}"))));
                let mut coming = Box::pin(join_all(come));
                assert!(coming.as_mut().now_or_never().is_none() && desk.is_crowded(), "{queue_max}");
                assert!(coming.await.iter().all(Result::is_ok));
                while desk.is_crowded() {
                    tokio::task::yield_now().await;
                }
            }
        });
        check_books(&kit.db).await;
    }

    async fn a_busy_queue_sees_changes_made_by_other_transactions(kit: Kit) {
        let market = market(&kit).await;
        let db = kit.connect(8).await;
        let desk = Desk::new(&db, patient());
        let (over, crowd) = (Arc::new(AtomicBool::new(false)), buyers(&kit, 40).await);
        // Some buyers keep requesting bowls, so that the queue never empties and each batch follows another.
        let mut asking = JoinSet::new();
        for at in 0..4_usize {
            let (desk, db, over, who) = (desk.clone(), db.clone(), over.clone(), crowd[at]);
            let wishes = market.request(db.now(), &[(&market.bowl, 2)], 1_000_000, "bowls");
            asking.spawn(async move {
                for number in 0.. {
                    let wish = ReserveRequest { key: key(&format!("bowls-{at}-{number}")), ..wishes.clone() };
                    let _mostly_sold_out = desk.reserve(&who, wish).await;
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        let mut comers = crowd[4..].iter().enumerate();
        let mut come = async |expected_total: i64| {
            let (at, who) = comers.next().unwrap();
            desk.reserve(
                who,
                market.request(db.now(), &[(&market.cup, 1)], expected_total, &format!("cup-{at:04}")),
            )
            .await
        };
        for _ in 0..10 {
            assert!(matches!(come(1_000_000).await, Ok(Reserved::Made { .. })));
        }
        for round in 1..=8_i64 {
            assert_eq!(codes(come(1_000_000).await), [ReserveRefusal::SoldOut], "round {round}");
            let price = 5_000 + round * 100;
            let dearer = Some(tiers(&[(price, None)]));
            let change = ItemChange {
                units: Some(10 + u32::try_from(round).unwrap()),
                tiers: dearer,
                ..ItemChange::default()
            };
            domain::reservations::change_item(&kit.db, &market.creator, market.cup.id, change).await.unwrap();
            if round % 2 == 0 {
                assert!(matches!(come(price - 1).await, Ok(Reserved::Repriced(_))), "round {round}");
            }
            assert!(matches!(come(price).await, Ok(Reserved::Made { .. })), "round {round}");
        }
        over.store(true, Ordering::Relaxed);
        asking.join_all().await;
        check_books(&kit.db).await;
    }

    async fn a_request_that_makes_its_batch_fail_is_answered_alone(kit: Kit) {
        let market = market(&kit).await;
        let buyers = buyers(&kit, 20).await;
        // No buyer's input makes a statement fail, so a trigger stands in for a bug of ours.
        let guilty: &[&str] = match kit.db.backend() {
            sea_orm::DbBackend::Postgres => &[
                "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'guilty'; END $$ \
                 LANGUAGE plpgsql",
                "CREATE TRIGGER guilty BEFORE INSERT ON checkout_addresses FOR EACH ROW WHEN (NEW.name = \
                 'Guilty') EXECUTE FUNCTION refuse()",
            ],
            _ => &[
                "CREATE TRIGGER guilty BEFORE INSERT ON checkout_addresses WHEN NEW.name = 'Guilty' BEGIN \
                 SELECT RAISE(ABORT, 'guilty'); END",
            ],
        };
        for statement in guilty {
            kit.db.schema_connection().execute_unprepared(statement).await.unwrap();
        }
        let items = run(&kit, &market, "Halved", 100).await;
        let answers = on_one_thread(async {
            let db = kit.connect(4).await;
            let desk = Desk::new(&db, patient());
            let asked = (0..20).map(|at: usize| {
                let mut request =
                    market.request(kit.db.now(), &[(&items[0], 1)], 1_000_000, &format!("halved-{at}"));
                if at == 7 || at == 13 {
                    request.address.name = TextLine::new("Guilty").unwrap();
                }
                desk.reserve(&buyers[at], request)
            });
            join_all(asked).await
        });
        for (at, answer) in answers.into_iter().enumerate() {
            match answer {
                Ok(Reserved::Made { replayed: false, .. }) => assert!(at != 7 && at != 13, "{at}"),
                Err(OpError::Db(_)) => assert!(at == 7 || at == 13, "{at}"),
                other => panic!("{at}: {other:?}"),
            }
        }
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM checkouts").await, 18);
        check_books(&kit.db).await;
    }

    async fn a_request_that_would_wait_too_long_is_refused_and_one_whose_caller_left_is_skipped(kit: Kit) {
        let market = market(&kit).await;
        let buyers = buyers(&kit, 12).await;
        let items = run(&kit, &market, "Bounded", 100).await;
        on_one_thread(async {
            let db = kit.connect(4).await;
            let desk = Desk::new(&db, DeskSettings { queue_max: 5, ..patient() });
            let ask = |at: usize| {
                let request =
                    market.request(kit.db.now(), &[(&items[0], 1)], 1_000_000, &format!("bounded-{at}"));
                desk.reserve(&buyers[at], request)
            };
            ask(0).await.unwrap();
            let mut asked: Vec<_> = (1..12).map(|at| Box::pin(ask(at))).collect();
            // The desk's own task has not run yet: five requests may wait, and the others are refused at
            // once.
            let mut turned_away = 0;
            for one in &mut asked {
                match one.now_or_never() {
                    Some(Err(OpError::Busy(again))) => {
                        assert!(again >= Duration::from_secs(1), "{again:?}");
                        turned_away += 1;
                    }
                    None => {}
                    other @ Some(_) => panic!("{other:?}"),
                }
            }
            assert_eq!(turned_away, 6);
            // Two of the waiting callers leave.
            let mut waiting: Vec<_> = asked.drain(..5).collect();
            waiting.drain(..2).for_each(drop);
            for answer in join_all(waiting).await {
                answer.unwrap();
            }
            // One of the refused callers retries and succeeds.
            ask(11).await.unwrap();
        });
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM checkouts").await, 5);
        check_books(&kit.db).await;
    }

    async fn the_returned_rows_equal_the_stored_rows(kit: Kit) {
        let market = market(&kit).await;
        let ada = buyer(&kit, "ada").await;
        let request =
            market.request(kit.db.now(), &[(&market.cup, 2), (&market.bowl, 1)], 1_000_000, "written");
        let Ok(Reserved::Made { checkout, rows: Some(rows), .. }) = reserve(&kit.db, &ada, &request).await
        else {
            panic!()
        };
        assert_eq!(Some(rows.checkout.clone()), queries::checkout(&kit.db, &ada, checkout).await.unwrap());
        assert_eq!(
            Some(rows.lines.clone()),
            queries::lines_of(&kit.db, &[checkout]).await.unwrap().remove(&checkout)
        );
        assert_eq!(
            Some(rows.payment.clone()),
            payments::of_checkouts(&kit.db, &[checkout]).await.unwrap().remove(&checkout)
        );
    }

    async fn repeatedly_expired_holds_make_the_buyer_wait(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let mut held = Vec::new();
        for turn in 0..2 {
            held.push(market.held(&kit.db, &ada, &[(&market.cup, 1)], &format!("turn-{turn}")).await);
            kit.clock.advance(TimeDelta::seconds(600));
        }
        // Expired holds count whether or not they have been lapsed.
        assert!(lapse(&kit.db, &system(), held[0]).await.unwrap());
        let again = market.reserve(&kit.db, &ada, &[(&market.cup, 1)], 100_000, "paused").await;
        assert_eq!(codes(again), [ReserveRefusal::HoldsLapsed(kit.db.now() + TimeDelta::minutes(1))]);
        market.held(&kit.db, &bob, &[(&market.cup, 1)], "bob").await;
        kit.clock.advance(TimeDelta::minutes(1));
        market.held(&kit.db, &ada, &[(&market.cup, 1)], "after").await;
    }

    async fn a_person_holds_at_most_three_unpaid_checkouts_in_a_drop(kit: Kit) {
        let market = market(&kit).await;
        let items = run(&kit, &market, "Open", 100).await;
        let ada = buyer(&kit, "ada").await;
        let wish = |at: usize| [(&items[at % 2], 1)];
        let mut held = Vec::new();
        for at in 0..3 {
            held.push(market.held(&kit.db, &ada, &wish(at), &format!("open-{at}")).await);
        }
        let fourth = market.reserve(&kit.db, &ada, &wish(3), 100_000, "fourth").await;
        assert_eq!(codes(fourth), [ReserveRefusal::TooManyHolds]);
        pay(&kit.db, held[0], None).await;
        market.held(&kit.db, &ada, &wish(3), "fourth").await;
    }

    async fn one_means_of_payment_buys_no_more_than_one_person_may_have(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob, eve) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await, buyer(&kit, "eve").await);
        let card = || Some("card-1".to_owned());
        let first = market.held(&kit.db, &ada, &[(&market.cup, 2)], "ada").await;
        let second = market.held(&kit.db, &bob, &[(&market.cup, 2)], "bob").await;
        let third = market.held(&kit.db, &eve, &[(&market.cup, 2)], "eve").await;
        pay(&kit.db, first, card()).await;
        pay(&kit.db, second, card()).await;
        pay(&kit.db, third, Some("card-2".to_owned())).await;
        let confirmed = "SELECT CAST(SUM(units) AS BIGINT) FROM reservations WHERE state = 'CONFIRMED'";
        assert_eq!(number(&kit.db, confirmed).await, 4);
        assert_eq!(
            number(
                &kit.db,
                "SELECT COUNT(*) FROM refunds WHERE reason = 'LIMIT_EXCEEDED' AND state = 'PENDING'"
            )
            .await,
            1
        );
        // The refused checkout's units are free again.
        market.held(&kit.db, &buyer(&kit, "dan").await, &[(&market.cup, 3)], "dan").await;
        check_books(&kit.db).await;
    }
}
