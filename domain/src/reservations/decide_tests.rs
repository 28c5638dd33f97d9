//! Tables and properties of the decision.

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::platform::Currency;

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

fn person(number: u8) -> PersonKey {
    vec![number]
}

fn money(minor: i64) -> Money {
    Money::new(minor, Currency::from_code("EUR").unwrap())
}

fn stock() -> Stock {
    let drop = DropId(Uuid::from_u128(1));
    let window =
        DropWindow { state: DropState::Published, opens_at: now() - TimeDelta::hours(1), closes_at: now() + TimeDelta::hours(1) };
    let stock = ItemStock { drop, units: UNITS, confirmed: 0, per_buyer_max: PER_BUYER };
    Stock { drops: [(drop, window)].into(), items: [(item(), stock)].into(), ..Stock::default() }
}

/// One unit costs 100 minor units, one more for each that is taken.
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
        expires_at: now() + TimeDelta::minutes(10),
        pricing: &pricing,
        expected_total: money(1_000_000),
    }
}

fn words(decisions: &[Decision]) -> Vec<String> {
    decisions
        .iter()
        .map(|decision| match decision {
            Decision::Reserved(_) => "reserved".to_owned(),
            Decision::Confirmed => "confirmed".to_owned(),
            Decision::Done => "done".to_owned(),
            Decision::Refused(why, _) => format!("{:?}", why.first().map(|refused| refused.code)),
        })
        .collect()
}

#[test]
fn the_window_counts_arrival_for_its_opening_and_the_decision_for_its_close() {
    let tick = TimeDelta::microseconds(1);
    for (state, opens, closes, arrived, expected) in [
        (DropState::Published, now(), now() + tick, now(), "reserved"),
        (DropState::Published, now(), now() + tick, now() - tick, "Some(NotOpen)"),
        (DropState::Published, now() + tick, now() + tick * 2, now() + tick, "Some(NotOpen)"),
        (DropState::Published, now() - tick, now(), now() - tick, "Some(Closed)"),
        (DropState::Cancelled, now(), now() + tick, now(), "Some(Closed)"),
        (DropState::Draft, now(), now() + tick, now(), "Some(ItemNotFound)"),
    ] {
        let mut stock = stock();
        for window in stock.drops.values_mut() {
            *window = DropWindow { state, opens_at: opens, closes_at: closes };
        }
        let mut request = reserve(1, 1, 1);
        if let Request::Reserve { arrived_at, .. } = &mut request {
            *arrived_at = arrived;
        }
        assert_eq!(words(&decide(&stock, &[request], now())), [expected]);
    }
}

#[test]
fn limits_count_holds_paid_units_and_the_lines_of_the_request_itself() {
    let mut stock = stock();
    stock.confirmed_by_person.insert((item(), person(1)), 2);
    let line = LineClaim { item: item(), units: 1 };
    let mut twice = reserve(1, 1, 1);
    if let Request::Reserve { lines, .. } = &mut twice {
        lines.push(line);
    }
    let decisions = decide(&stock, &[twice, reserve(2, 1, 1), reserve(3, 1, 1), reserve(4, 2, 4)], now());
    assert_eq!(words(&decisions), ["Some(LimitExceeded)", "reserved", "Some(LimitExceeded)", "Some(LimitExceeded)"]);
}

#[test]
fn a_lapsed_hold_is_free_and_gives_its_place_in_the_tiers_back() {
    let mut stock = stock();
    let hold = |units, expires_at| Hold { checkout: checkout(90), item: item(), units, expires_at, person: person(9) };
    stock.holds = vec![hold(8, now()), hold(1, now() + TimeDelta::microseconds(1))];
    let decisions = decide(&stock, &[reserve(1, 1, 3)], now());
    assert!(matches!(decisions.first(), Some(Decision::Reserved(quote)) if quote.total_minor == 101), "{decisions:?}");
}

#[test]
fn a_higher_price_than_expected_is_refused_with_the_new_quote_and_a_lower_one_passes() {
    for (expected, passes) in [(99, false), (100, true), (101, true)] {
        let mut request = reserve(1, 1, 1);
        if let Request::Reserve { expected_total, .. } = &mut request {
            *expected_total = money(expected);
        }
        match decide(&stock(), &[request], now()).as_slice() {
            [Decision::Reserved(_)] => assert!(passes),
            [Decision::Refused(_, Some(quote))] => assert!(!passes && quote.total_minor == 100),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_late_payment_takes_all_lines_again_or_none() {
    let lines = vec![LineClaim { item: item(), units: 3 }];
    let confirm = |number, who| Request::Confirm { checkout: checkout(number), person: person(who), lines: lines.clone() };
    // Nothing is held for checkout 1 any more; seven units are free, then four, then one.
    let decisions = decide(&stock(), &[confirm(1, 1), reserve(2, 2, 3), confirm(3, 3), confirm(4, 4)], now());
    assert_eq!(words(&decisions), ["confirmed", "reserved", "confirmed", "Some(SoldOut)"]);
}

#[test]
fn units_never_fall_below_what_is_taken() {
    let set = |units| Request::SetUnits { item: item(), units };
    let release = Request::Release { checkout: checkout(1) };
    let decisions = decide(&stock(), &[reserve(1, 1, 3), set(2), set(3), reserve(2, 2, 1), release, reserve(3, 2, 1)], now());
    assert_eq!(words(&decisions), ["reserved", "Some(BelowTaken)", "done", "Some(SoldOut)", "done", "reserved"]);
}

proptest! {
    /// Whatever is asked in whatever order: never more than there is, never more than one may have,
    /// and nobody is refused as sold out while enough is free.
    #[test]
    fn never_oversold_and_never_falsely_sold_out(asked in prop::collection::vec((0_u8..6, 1_u32..4, 0_u8..4), 1..60)) {
        let mut held: Vec<(u128, u8, u32)> = Vec::new();
        let mut requests = Vec::new();
        for (at, (who, units, kind)) in asked.iter().enumerate() {
            let number = u128::try_from(at).unwrap();
            match (kind, held.last().copied()) {
                (0, Some((mine, ..))) => requests.push((Request::Release { checkout: checkout(mine) }, None)),
                (1, Some((mine, owner, units))) => {
                    let lines = vec![LineClaim { item: item(), units }];
                    requests.push((Request::Confirm { checkout: checkout(mine), person: person(owner), lines }, None));
                }
                _ => {
                    held.push((number, *who, *units));
                    requests.push((reserve(number, *who, *units), Some(*units)));
                }
            }
        }
        let mut state = stock();
        for (request, units) in &requests {
            let free = UNITS - state.taken(item(), now());
            let decision = state.decide_one(request, now());
            prop_assert!(state.taken(item(), now()) <= UNITS);
            if let (Decision::Refused(why, _), Some(units)) = (&decision, units) {
                let sold_out = why.iter().any(|refused| refused.code == StockRefusal::SoldOut);
                prop_assert!(!sold_out || *units > free);
            }
        }
    }

    /// Every way of cutting one sequence into batches gives the same answers, when the caller loads
    /// between batches what was decided.
    #[test]
    fn batching_changes_no_answer(asked in prop::collection::vec((0_u8..6, 1_u32..4), 1..40), cut in 0_usize..40) {
        let requests: Vec<_> = asked.iter().enumerate().map(|(at, (who, units))| reserve(u128::try_from(at).unwrap(), *who, *units)).collect();
        let whole = words(&decide(&stock(), &requests, now()));
        let cut = cut.min(requests.len());
        let (head, tail) = requests.split_at(cut);
        let mut state = stock();
        let mut parts: Vec<_> = head.iter().map(|request| state.decide_one(request, now())).collect();
        parts.extend(decide(&state, tail, now()));
        prop_assert_eq!(whole, words(&parts));
    }
}
