//! Table tests and property tests of the decision.

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::platform::{Currency, PathStep};

const UNITS: u32 = 10;
const PER_BUYER: u32 = 3;

fn now() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn item() -> DropItemId {
    DropItemId(Uuid::from_u128(11))
}

fn checkout(number: u128) -> CheckoutId {
    CheckoutId(Uuid::from_u128(number))
}

fn person(number: u8) -> StoredPersonKey {
    vec![number]
}

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").unwrap())
}

fn stock() -> Stock {
    let drop = DropId(Uuid::from_u128(1));
    let window = DropWindow {
        state: DropState::Published,
        opens_at: now() - TimeDelta::hours(1),
        closes_at: now() + TimeDelta::hours(1),
        hold: TimeDelta::minutes(10),
        per_buyer_max: None,
    };
    let stock = ItemStock { drop, units: UNITS, confirmed: 0, held: 0, per_buyer_max: PER_BUYER };
    Stock { drops: [(drop, window)].into(), items: [(item(), stock)].into(), ..Stock::default() }
}

/// A total of 100 minor units, plus one for each unit that is taken.
fn pricing(taken: &[u32]) -> Result<Quote, (usize, QuoteRefusal)> {
    let total_minor = 100 + taken.iter().copied().map(i64::from).sum::<i64>();
    let currency = Currency::from_code("EUR").unwrap();
    Ok(Quote { currency, lines: Vec::new(), total_minor, due_now_minor: total_minor, due_later_minor: 0 })
}

fn reserve(number: u128, who: u8, units: u32) -> Request<'static> {
    Request::Reserve {
        checkout: checkout(number),
        person: person(who),
        lines: vec![LineClaim { item: item(), units }],
        arrived_at: now(),
        pricing: &pricing,
        expected_total: money(1_000_000),
    }
}

fn words(decisions: &[Decision]) -> Vec<String> {
    decisions
        .iter()
        .map(|decision| match decision {
            Decision::Reserved(..) => "reserved".to_owned(),
            Decision::Confirmed => "confirmed".to_owned(),
            Decision::Done => "done".to_owned(),
            Decision::Refused(why, _) => why.first().map_or("", |refused| word(refused.code)).to_owned(),
        })
        .collect()
}

fn word(refusal: StockRefusal) -> &'static str {
    match refusal {
        StockRefusal::ItemNotFound => "unknown",
        StockRefusal::NotOpen(_) => "not open",
        StockRefusal::Closed => "closed",
        StockRefusal::SoldOut => "sold out",
        StockRefusal::LimitExceeded => "limit",
        StockRefusal::TooManyHolds => "too many holds",
        StockRefusal::HoldsLapsed(_) => "holds lapsed",
        StockRefusal::PriceChanged => "price",
        StockRefusal::Quote(_) => "unpriced",
        StockRefusal::BelowTaken => "below taken",
    }
}

fn set_units(units: u32) -> Request<'static> {
    Request::SetUnits { item: item(), units }
}

fn confirm(number: u128, who: u8, means: Option<u8>, units: u32) -> Request<'static> {
    let lines = vec![LineClaim { item: item(), units }];
    Request::Confirm { checkout: checkout(number), person: person(who), means: means.map(person), lines }
}

#[test]
fn the_window_counts_arrival_for_its_opening_and_the_decision_for_its_close() {
    let tick = TimeDelta::microseconds(1);
    for (state, opens, closes, arrived, expected) in [
        (DropState::Published, now(), now() + tick, now(), "reserved"),
        (DropState::Published, now(), now() + tick, now() - tick, "not open"),
        (DropState::Published, now() + tick, now() + tick * 2, now() + tick, "not open"),
        (DropState::Published, now() - tick, now(), now() - tick, "closed"),
        (DropState::Cancelled, now(), now() + tick, now(), "closed"),
        (DropState::Draft, now(), now() + tick, now(), "unknown"),
    ] {
        let mut stock = stock();
        for window in stock.drops.values_mut() {
            *window = DropWindow { state, opens_at: opens, closes_at: closes, ..window.clone() };
        }
        let mut request = reserve(1, 1, 1);
        if let Request::Reserve { arrived_at, .. } = &mut request {
            *arrived_at = arrived;
        }
        let decisions = decide(&stock, &[request], now());
        assert_eq!(words(&decisions), [expected]);
        if let [Decision::Refused(why, None)] = decisions.as_slice()
            && let StockRefusal::NotOpen(at) = why[0].code
        {
            assert_eq!(at, opens, "the refusal contains the opening time");
        }
    }
}

#[test]
fn limits_count_what_one_holds_has_paid_for_and_asks_for() {
    let mut stock = stock();
    stock.add_of_person(item(), &person(1), 2);
    let line = LineClaim { item: item(), units: 1 };
    let mut twice = reserve(1, 1, 1);
    if let Request::Reserve { lines, .. } = &mut twice {
        lines.push(line);
    }
    let decisions = decide(&stock, &[twice, reserve(2, 1, 1), reserve(3, 1, 1), reserve(4, 2, 4)], now());
    assert_eq!(words(&decisions), ["limit", "reserved", "limit", "limit"]);
}

#[test]
fn a_limit_of_the_drop_counts_all_of_its_items() {
    let mut stock = stock();
    let other = DropItemId(Uuid::from_u128(12));
    let of_other = stock.items[&item()].clone();
    stock.items.insert(other, of_other);
    for window in stock.drops.values_mut() {
        window.per_buyer_max = Some(3);
    }
    stock.add_of_person(other, &person(1), 2);
    let decisions =
        decide(&stock, &[reserve(1, 1, 2), reserve(2, 1, 1), reserve(3, 2, 3), reserve(4, 2, 1)], now());
    assert_eq!(words(&decisions), ["limit", "reserved", "reserved", "limit"]);
}

#[test]
fn a_hold_lasts_as_long_as_the_drop_says() {
    let decisions = decide(&stock(), &[reserve(1, 1, 3)], now());
    assert!(
        matches!(
            decisions.as_slice(),
            [Decision::Reserved(_, until)] if *until == now() + TimeDelta::minutes(10)
        ),
        "{decisions:?}"
    );
}

#[test]
fn a_person_has_few_holds_open_at_once() {
    let mut stock = stock();
    stock.items.values_mut().for_each(|item| item.per_buyer_max = UNITS);
    let asked: Vec<_> = (1..=4).map(|number| reserve(number, 1, 1)).collect();
    assert_eq!(words(&decide(&stock, &asked, now())), ["reserved", "reserved", "reserved", "too many holds"]);
    // Once a hold is paid or released, the person may reserve again. Other persons are not affected.
    let three = [reserve(1, 1, 1), reserve(2, 1, 1), reserve(3, 1, 1)];
    three.iter().for_each(|request| drop(stock.decide_one(request, now())));
    stock.release(checkout(1));
    let after =
        [confirm(2, 1, None, 1), reserve(4, 1, 1), reserve(5, 1, 1), reserve(6, 1, 1), reserve(7, 2, 1)];
    assert_eq!(
        words(&decide(&stock, &after, now())),
        ["confirmed", "reserved", "reserved", "too many holds", "reserved"]
    );
}

#[test]
fn letting_holds_run_out_again_and_again_costs_a_growing_pause() {
    let drop = DropId(Uuid::from_u128(1));
    let minutes = TimeDelta::minutes;
    for (lapsed, pause) in [(0, None), (1, None), (2, Some(1)), (3, Some(2)), (4, Some(4)), (40, Some(240))] {
        let conduct = Conduct { open: 0, lapsed, lapsed_last: Some(now()) };
        assert_eq!(conduct.pause_until(), pause.map(|pause| now() + minutes(pause)), "{lapsed}");
        let mut stock = stock();
        stock.conduct.insert((drop, person(1)), conduct);
        for (later, who, expected) in [
            (pause.unwrap_or(0) * 60_000 - 1, 1, if pause.is_some() { "holds lapsed" } else { "reserved" }),
            (pause.unwrap_or(0) * 60_000, 1, "reserved"),
            (0, 2, "reserved"),
        ] {
            for window in stock.drops.values_mut() {
                window.closes_at = now() + TimeDelta::days(1);
            }
            let at = now() + TimeDelta::milliseconds(later);
            let mut request = reserve(1, who, 1);
            if let Request::Reserve { arrived_at, .. } = &mut request {
                *arrived_at = at;
            }
            assert_eq!(words(&decide(&stock, &[request], at)), [expected], "{lapsed} {later}");
        }
    }
}

#[test]
fn a_higher_price_than_expected_is_refused_with_the_new_quote_and_a_lower_one_passes() {
    for (expected, passes) in [(99, false), (100, true), (101, true)] {
        let mut request = reserve(1, 1, 1);
        if let Request::Reserve { expected_total, .. } = &mut request {
            *expected_total = money(expected);
        }
        match decide(&stock(), &[request], now()).as_slice() {
            [Decision::Reserved(..)] => assert!(passes),
            [Decision::Refused(_, Some(quote))] => assert!(!passes && quote.total_minor == 100),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_late_payment_takes_all_lines_again_or_none() {
    // Checkout 1 has no holds any more. 10 units are free, and each granted request takes 3, so the last one
    // finds only 1.
    let requests = [confirm(1, 1, None, 3), reserve(2, 2, 3), confirm(3, 3, None, 3), confirm(4, 4, None, 3)];
    assert_eq!(
        words(&decide(&stock(), &requests, now())),
        ["confirmed", "reserved", "confirmed", "sold out"]
    );
}

#[test]
fn one_means_of_payment_buys_no_more_than_one_person_may_have() {
    let requests = [
        reserve(1, 1, 2),
        reserve(2, 2, 2),
        reserve(3, 3, 2),
        confirm(1, 1, Some(100), 2),
        confirm(2, 2, Some(100), 2),
        confirm(3, 3, Some(101), 2),
    ];
    assert_eq!(
        words(&decide(&stock(), &requests, now())),
        ["reserved", "reserved", "reserved", "confirmed", "limit", "confirmed"]
    );
}

#[test]
fn units_never_fall_below_what_is_taken() {
    let mut stock = stock();
    let requests = [reserve(1, 1, 3), set_units(2), set_units(3), reserve(2, 2, 1)];
    let decisions: Vec<_> = requests.iter().map(|request| stock.decide_one(request, now())).collect();
    assert_eq!(words(&decisions), ["reserved", "below taken", "done", "sold out"]);
    stock.release(checkout(1));
    assert_eq!(words(&decide(&stock, &[reserve(3, 2, 1)], now())), ["reserved"]);
}

/// A checkout's claims as the database would store them, with only the fields that decisions need.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    checkout: u128,
    who: u8,
    lines: Vec<(u128, u32)>,
    expires_at: DateTime<Utc>,
    paid: bool,
}

/// One request in a generated sequence.
#[derive(Debug, Clone)]
enum Wish {
    Reserve { who: u8, lines: Vec<(u128, u32)>, expected: i64 },
    Confirm { of: usize },
    Release { of: usize },
}

const ITEMS: [u128; 2] = [11, 12];

fn whole(number: usize) -> u128 {
    u128::try_from(number).unwrap()
}

#[derive(Debug, Clone, Default)]
struct Books(Vec<Kept>);

impl Books {
    /// Returns the stock that would be loaded under the gate at an instant.
    fn load(&self, at: DateTime<Utc>) -> Stock {
        let mut stock = stock();
        let drop = DropId(Uuid::from_u128(1));
        stock.drops.values_mut().for_each(|window| {
            window.closes_at = now() + TimeDelta::days(2);
            window.per_buyer_max = Some(4);
        });
        let of_item = stock.items[&item()].clone();
        stock.items = ITEMS.map(|id| (DropItemId(Uuid::from_u128(id)), of_item.clone())).into();
        for kept in &self.0 {
            let held = !kept.paid && kept.expires_at > at;
            let conduct = stock.conduct.entry((drop, person(kept.who))).or_default();
            conduct.open += u32::from(held);
            if !kept.paid && !held {
                conduct.lapsed += 1;
                conduct.lapsed_last = conduct.lapsed_last.max(Some(kept.expires_at));
            }
            for (line, units) in &kept.lines {
                let line = DropItemId(Uuid::from_u128(*line));
                let of_item = stock.items.get_mut(&line).unwrap();
                if held {
                    of_item.held += units;
                    let hold = Hold { item: line, units: *units, person: person(kept.who) };
                    stock.holds.entry(checkout(kept.checkout)).or_default().push(hold);
                }
                if kept.paid {
                    of_item.confirmed += units;
                }
                if held || kept.paid {
                    stock.add_of_person(line, &person(kept.who), *units);
                }
            }
        }
        stock
    }

    /// Returns the request to decide, or `None` for a release, which needs no decision.
    fn request(
        &self,
        number: usize,
        wish: &Wish,
        wishes: &[Wish],
        at: DateTime<Utc>,
    ) -> Option<Request<'static>> {
        let claims = |lines: &[(u128, u32)]| -> Vec<LineClaim> {
            lines
                .iter()
                .map(|(line, units)| LineClaim { item: DropItemId(Uuid::from_u128(*line)), units: *units })
                .collect()
        };
        Some(match wish {
            Wish::Reserve { who, lines, expected } => Request::Reserve {
                checkout: checkout(whole(number)),
                person: person(*who),
                lines: claims(lines),
                arrived_at: at,
                pricing: &pricing,
                expected_total: money(*expected),
            },
            Wish::Confirm { of } => {
                let (who, lines) = asked_by(wishes, *of);
                Request::Confirm {
                    checkout: checkout(whole(*of)),
                    person: person(who),
                    means: None,
                    lines: claims(&lines),
                }
            }
            Wish::Release { .. } => return None,
        })
    }

    fn write(&mut self, number: usize, wish: &Wish, wishes: &[Wish], decision: &Decision, at: DateTime<Utc>) {
        match (wish, decision) {
            (Wish::Reserve { who, lines, .. }, Decision::Reserved(_, expires_at)) => {
                let kept = Kept {
                    checkout: whole(number),
                    who: *who,
                    lines: lines.clone(),
                    expires_at: *expires_at,
                    paid: false,
                };
                self.0.push(kept);
            }
            (Wish::Confirm { of }, Decision::Confirmed) => {
                self.0.retain(|kept| kept.checkout != whole(*of));
                let (who, lines) = asked_by(wishes, *of);
                self.0.push(Kept { checkout: whole(*of), who, lines, expires_at: at, paid: true });
            }
            _ => {}
        }
    }

    /// Decides wishes as one batch, or performs a single release. Returns the decisions.
    fn take(&mut self, numbers: std::ops::Range<usize>, wishes: &[Wish], at: DateTime<Utc>) -> Vec<Decision> {
        if let [Wish::Release { of }] = &wishes[numbers.clone()] {
            // Only a current hold is released. An expired hold stays and counts as lapsed.
            self.0.retain(|kept| kept.checkout != whole(*of) || kept.paid || kept.expires_at <= at);
            return vec![Decision::Done];
        }
        let requests =
            numbers.clone().map(|number| self.request(number, &wishes[number], wishes, at).unwrap());
        let decisions = decide(&self.load(at), &requests.collect::<Vec<_>>(), at);
        for (number, decision) in numbers.zip(&decisions) {
            self.write(number, &wishes[number], wishes, decision, at);
        }
        self.check(at);
        decisions
    }

    fn check(&self, at: DateTime<Utc>) {
        for (id, stock) in self.load(at).items {
            assert!(stock.taken() <= UNITS, "{id:?}: {stock:?}");
        }
    }
}

/// Returns the person and the lines of a wish to reserve, whether it was granted or not.
fn asked_by(wishes: &[Wish], of: usize) -> (u8, Vec<(u128, u32)>) {
    match &wishes[of] {
        Wish::Reserve { who, lines, .. } => (*who, lines.clone()),
        Wish::Confirm { .. } | Wish::Release { .. } => panic!("not a reservation"),
    }
}

fn wishes() -> impl Strategy<Value = Vec<(i64, Wish)>> {
    let line = (0_usize..2, 1_u32..4).prop_map(|(at, units)| (ITEMS[at], units));
    let reserve = (
        0_u8..6,
        prop::collection::vec(line, 1..4),
        prop_oneof![9 => Just(1_000_000_i64), 1 => 100_i64..130],
    )
        .prop_map(|(who, lines, expected)| Wish::Reserve { who, lines, expected });
    let other = (any::<bool>(), 0_usize..60)
        .prop_map(|(pays, of)| if pays { Wish::Confirm { of } } else { Wish::Release { of } });
    // The seconds since the wish before: most come at once, some come minutes later, when holds have expired.
    let later = prop_oneof![6 => Just(0_i64), 2 => 1_i64..300, 1 => 300_i64..2_000];
    prop::collection::vec((later, prop_oneof![4 => reserve, 1 => other]), 1..80).prop_map(|wishes| {
        // A wish to confirm or release refers to an earlier wish to reserve.
        let mut asked = Vec::new();
        let mut kept = Vec::new();
        for (later, mut wish) in wishes {
            match &mut wish {
                Wish::Reserve { .. } => asked.push(kept.len()),
                Wish::Confirm { of } | Wish::Release { of } => {
                    let Some(of_asked) = asked.get(*of % asked.len().max(1)) else { continue };
                    *of = *of_asked;
                }
            }
            kept.push((later, wish));
        }
        kept
    })
}

/// The instants at the given distances, in seconds, each from the one before.
fn instants_after(laters: &[i64]) -> Vec<DateTime<Utc>> {
    let next = |at: &mut DateTime<Utc>, later: &i64| {
        *at += TimeDelta::seconds(*later);
        Some(*at)
    };
    laters.iter().scan(now(), next).collect()
}

proptest! {
    /// Every way to split a sequence of requests into batches gives the same answers as deciding them one by
    /// one. The sequences cover limits, tiers, lapses, pauses, late payments and several lines.
    #[test]
    fn batching_changes_no_answer(asked in wishes(), cuts in prop::collection::vec(1_usize..12, 1..40)) {
        let (laters, wishes): (Vec<i64>, Vec<Wish>) = asked.into_iter().unzip();
        let instants = instants_after(&laters);
        let (mut one_by_one, mut batched) = (Books::default(), Books::default());
        let mut answers = Vec::new();
        for (number, at) in instants.iter().enumerate() {
            answers.extend(one_by_one.take(number..number + 1, &wishes, *at));
        }
        let (mut next, mut cut) = (0, cuts.iter().cycle());
        while next < wishes.len() {
            let at = instants[next];
            // All requests of a batch have the same instant. Payments and releases have transactions of their
            // own.
            let joins = |number: &usize| {
                instants[*number] == at && matches!(wishes[*number], Wish::Reserve { .. })
            };
            let batch = (next..wishes.len()).take(*cut.next().unwrap()).take_while(joins);
            let end = batch.last().unwrap_or(next) + 1;
            for (number, decision) in (next..end).zip(batched.take(next..end, &wishes, at)) {
                prop_assert_eq!(&decision, &answers[number], "{} of {:?}", number, wishes[number]);
            }
            next = end;
        }
        prop_assert_eq!(one_by_one.0, batched.0);
    }

    /// Whatever the requests and their order, no request is refused as sold out while enough units are free.
    #[test]
    fn never_falsely_sold_out(asked in wishes()) {
        let (laters, wishes): (Vec<i64>, Vec<Wish>) = asked.into_iter().unzip();
        let instants = instants_after(&laters);
        let mut books = Books::default();
        for (number, wish) in wishes.iter().enumerate() {
            let at = instants[number];
            let stock = books.load(at);
            let decisions = books.take(number..number + 1, &wishes, at);
            if let (Wish::Reserve { lines, .. }, Decision::Refused(why, _)) = (wish, &decisions[0]) {
                for refused in why.iter().filter(|refused| refused.code == StockRefusal::SoldOut) {
                    let PathStep::At(line) = refused.path[1] else { panic!("{refused:?}") };
                    let item = lines[line].0;
                    let of_item = lines[..=line].iter().filter(|(of, _)| *of == item);
                    let wanted: u32 = of_item.map(|(_, units)| units).sum();
                    prop_assert!(wanted > UNITS - stock.taken(DropItemId(Uuid::from_u128(item))));
                }
            }
        }
    }
}
