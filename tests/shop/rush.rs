//! Crowds: many connections that reserve the last units at once, and a power cut meanwhile.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};
use tokio::{
    sync::{Barrier, Semaphore},
    task::JoinSet,
    time::timeout,
};

use crate::shop::{
    harness::SOON,
    market::{Market, PhoneLine, address_of, id, mutation, paying},
};

/// The number of callers that reserve the last units.
const CALLERS: usize = 64;
/// The number of units left for them.
const LAST_UNITS: usize = 10;

/// The number of buyers who reserve before the power cut.
const CROWD: usize = 200;
/// The number of units for them.
const ENOUGH_FOR: usize = 150;
/// The number of buyers in the first half, who come early.
const EARLY: usize = 100;
/// The number of early buyers who pay at once.
const PAYING: usize = 30;
/// When this many have paid, the second half reserves, and the power is cut.
const PAID: u32 = 10;

on_both! {
    async fn exactly_the_last_units_are_sold_to_sixty_four_callers_with_two_requests_each(setup: Setup) {
        let market = Market::open(setup, LAST_UNITS, CALLERS).await;
        let all_at_once = Arc::new(Barrier::new(CALLERS * 2));
        let reserve = mutation("checkoutReserve", "replayed checkout { id status }");
        let mut pressing = JoinSet::new();
        for (caller, token) in market.buyers.iter().enumerate() {
            let input = json!({ "input": market.reserving(&market.item, &format!("press-{caller:04}")) });
            // Each caller sends the same request with the same key on two connections.
            for _ in 0..2 {
                let (line, all_at_once) = (market.line(token).await, Arc::clone(&all_at_once));
                let (reserve, input) = (reserve.clone(), input.clone());
                pressing.spawn(async move {
                    all_at_once.wait().await;
                    (caller, line.send(&reserve, input).await.unwrap())
                });
            }
        }
        let mut answers: Vec<Vec<Value>> = vec![Vec::new(); CALLERS];
        while let Some(answer) = pressing.join_next().await {
            let (caller, (status, body)) = answer.unwrap();
            assert!(status == 200 && body.get("errors").is_none(), "caller {caller}: {status} {body:#}");
            answers[caller].push(body["data"]["checkoutReserve"].clone());
        }
        let (mut won, mut lost) = (BTreeSet::new(), 0);
        for (caller, twice) in answers.iter().enumerate() {
            let [one, other] = twice.as_slice() else { panic!("caller {caller} has two answers") };
            assert_eq!(
                (&one["checkout"], &one["errors"]),
                (&other["checkout"], &other["errors"]),
                "caller {caller}"
            );
            if one["errors"] == json!([]) {
                let replays = [&one["replayed"], &other["replayed"]]
                    .into_iter()
                    .filter(|replayed| **replayed == true)
                    .count();
                assert_eq!(replays, 1, "caller {caller}: exactly one response is a replay: {one} {other}");
                won.insert(id(&one["checkout"]));
            } else {
                assert_eq!(one["errors"][0]["code"], "SOLD_OUT", "caller {caller}: {one:#}");
                lost += 1;
            }
        }
        assert_eq!((won.len(), lost), (LAST_UNITS, CALLERS - LAST_UNITS));
        assert_eq!(market.stock().await, (0, LAST_UNITS, 0));
        let mut kept = BTreeSet::new();
        for token in &market.buyers {
            let data = market.graphql(Some(token), "{ checkouts { nodes { id } } }", json!({})).await;
            kept.extend(data["checkouts"]["nodes"].as_array().unwrap().iter().map(id));
        }
        assert_eq!(kept, won, "the responses match the stored checkouts");
    }

    async fn a_power_cut_under_load_loses_no_answered_request_and_sells_nothing_twice(setup: Setup) {
        let setup = setup
            .with("SMALLRUN_GATEWAY_CALLS_PER_SECOND", "10000")
            .with("SMALLRUN_RESERVE_WAIT_MS_MAX", "60000");
        let market = Market::open(setup, ENOUGH_FOR, CROWD).await;
        let signs = Arc::new(Signs {
            begin: Semaphore::new(EARLY),
            paid: Semaphore::new(0),
            reserved: Semaphore::new(0),
        });
        let mut rush = JoinSet::new();
        for (buyer, token) in market.buyers.iter().enumerate() {
            let (line, input) =
                (market.line(token).await, market.reserving(&market.item, &format!("rush-{buyer:04}")));
            let signs = Arc::clone(&signs);
            rush.spawn(async move { (buyer, reserve_and_pay(&line, buyer, input, &signs).await) });
        }
        timeout(SOON, signs.paid.acquire_many(PAID)).await.expect("some pay").unwrap().forget();
        let early = signs.reserved.acquire_many(u32::try_from(EARLY).unwrap());
        timeout(SOON, early).await.expect("the early buyers reserve").unwrap().forget();
        // Hold the gates until the power cut, so that the second half is waiting then.
        let gates = market.hold_the_gates().await;
        signs.begin.add_permits(CROWD - EARLY);
        market.until_metric("smallrun_desk_waiting", f64::from(u32::try_from(CROWD - EARLY).unwrap())).await;
        let market = market.after_a_power_cut_under(gates).await;
        let mut told: Vec<Told> = vec![Told::default(); CROWD];
        while let Some(outcome) = rush.join_next().await {
            let (buyer, outcome) = outcome.unwrap();
            told[buyer] = outcome;
        }
        let unanswered = told.iter().filter(|told| told.checkout.is_none() && !told.sold_out).count();
        assert!(unanswered > 0, "all requests were answered before the power cut: {told:?}");

        let before = holdings(&market).await;
        for (buyer, told) in told.iter().enumerate() {
            assert!(before[buyer].len() <= 1, "buyer {buyer} asked once: {:?}", before[buyer]);
            if let Some(checkout) = &told.checkout {
                assert!(before[buyer].contains(checkout), "buyer {buyer} was promised {checkout}");
            }
        }
        let sold: usize = before.iter().map(Vec::len).sum();
        let (free, held, confirmed) = market.stock().await;
        assert_eq!((free, held + confirmed), (ENOUGH_FOR - sold, sold));

        what_was_paid_is_confirmed(&market, &told).await;
        everybody_asks_again(&market, &before).await;
        let (free, held, confirmed) = market.stock().await;
        assert_eq!((free, held + confirmed), (0, ENOUGH_FOR));
    }
}

/// The semaphores that let buyers begin and count responses.
struct Signs {
    begin: Semaphore,
    reserved: Semaphore,
    paid: Semaphore,
}

/// The responses that a buyer got before the power cut.
#[derive(Debug, Clone, Default)]
struct Told {
    checkout: Option<String>,
    sold_out: bool,
    paid: bool,
}

async fn reserve_and_pay(line: &PhoneLine, buyer: usize, input: Value, signs: &Signs) -> Told {
    let mut told = Told::default();
    let reserve = mutation("checkoutReserve", "checkout { id }");
    signs.begin.acquire().await.unwrap().forget();
    let Ok((status, body)) = line.send(&reserve, json!({ "input": input })).await else { return told };
    assert_eq!(status, 200, "{body:#}");
    let payload = &body["data"]["checkoutReserve"];
    if payload["checkout"].is_null() {
        assert_eq!(payload["errors"][0]["code"], "SOLD_OUT", "{body:#}");
        told.sold_out = true;
        return told;
    }
    let checkout = id(&payload["checkout"]);
    told.checkout = Some(checkout.clone());
    signs.reserved.add_permits(1);
    if buyer >= PAYING {
        return told;
    }
    let input = json!({ "input": paying(&checkout, "pm_sandbox_success", &format!("pays-{buyer:04}")) });
    if let Ok((status, body)) = line.send(&mutation("checkoutPay", "payment { id }"), input).await {
        assert!(status == 200 && body["data"]["checkoutPay"]["errors"] == json!([]), "{status} {body:#}");
        told.paid = true;
        signs.paid.add_permits(1);
    }
    told
}

/// Returns the checkouts of every buyer.
async fn holdings(market: &Market) -> Vec<Vec<String>> {
    let mut all = Vec::with_capacity(CROWD);
    for token in &market.buyers {
        let query = "{ checkouts { nodes { id status reservations { units } } } }";
        let data = market.graphql(Some(token), query, json!({})).await;
        let nodes = data["checkouts"]["nodes"].as_array().unwrap();
        for node in nodes {
            assert!(node["status"] == "HELD" || node["status"] == "CONFIRMED", "{node:#}");
            assert_eq!(node["reservations"], json!([{ "units": 1 }]));
        }
        all.push(nodes.iter().map(id).collect());
    }
    all
}

/// Checks that the work in the queues at the power cut is completed: payments, their webhooks, and letters.
async fn what_was_paid_is_confirmed(market: &Market, told: &[Told]) {
    let paid: Vec<usize> = (0..told.len()).filter(|buyer| told[*buyer].paid).collect();
    assert!(!paid.is_empty(), "nobody paid before the power cut");
    for &buyer in &paid {
        let checkout = told[buyer].checkout.as_deref().unwrap();
        let seen =
            market.checkout_when(&market.buyers[buyer], checkout, |seen| seen["status"] == "CONFIRMED").await;
        assert_eq!(seen["payment"]["status"], "SUCCEEDED");
    }
    for &buyer in &paid {
        market.letter(&address_of(buyer), "Subject: Your reservation is confirmed").await;
    }
}

/// Sends all requests again with the same keys: earlier responses are repeated, and the remaining units are
/// sold.
async fn everybody_asks_again(market: &Market, before: &[Vec<String>]) {
    let mut sold = 0;
    for (buyer, token) in market.buyers.iter().enumerate() {
        let input = market.reserving(&market.item, &format!("rush-{buyer:04}"));
        let payload = market.tried(token, "checkoutReserve", "replayed checkout { id }", input).await;
        if let [checkout] = before[buyer].as_slice() {
            assert_eq!(
                (&payload["checkout"]["id"], &payload["replayed"]),
                (&json!(checkout), &json!(true)),
                "buyer {buyer}"
            );
        } else if payload["checkout"].is_null() {
            assert_eq!(payload["errors"][0]["code"], "SOLD_OUT", "buyer {buyer}: {payload:#}");
            continue;
        }
        sold += 1;
    }
    assert_eq!(sold, ENOUGH_FOR);
}
