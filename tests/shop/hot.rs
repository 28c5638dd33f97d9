//! Black-box tests of a hot drop: several processes of which one is killed, a full desk, and the responses to
//! waiting requests.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use domain::platform::clock::{Clock, SystemClock};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::{sync::Barrier, task::JoinSet};

use crate::shop::{
    books,
    harness::{Folder, SOON, Server, Setup},
    market::{Market, PhoneLine, drop_input, id, mutation, new_key},
};

/// The units of the drop that three processes sell.
const UNITS: usize = 100;
/// The number of buyers who want a unit.
const CROWD: usize = 300;
/// One of the processes is killed after this many responses.
const DEATH_AFTER: usize = 40;

/// Sends a reservation to one of the processes, and retries it at another if that one is gone.
async fn press(
    urls: Vec<String>,
    token: String,
    input: Value,
    answered: Arc<tokio::sync::Semaphore>,
) -> Option<String> {
    let client = reqwest::Client::builder().timeout(SOON).build().unwrap();
    let reserve = mutation("checkoutReserve", "checkout { id }");
    for url in urls.iter().cycle() {
        let request = client
            .post(url)
            .bearer_auth(&token)
            .json(&json!({ "query": reserve, "variables": { "input": input } }));
        let answer = async { request.send().await?.json::<Value>().await };
        // If the connection broke, send the same request with the same key to another process.
        let Ok(body) = answer.await else { continue };
        assert!(body.get("errors").is_none(), "{body:#}");
        answered.add_permits(1);
        let payload = &body["data"]["checkoutReserve"];
        if payload["checkout"].is_null() {
            assert_eq!(payload["errors"][0]["code"], "SOLD_OUT", "{body:#}");
            return None;
        }
        return Some(id(&payload["checkout"]));
    }
    None
}

#[tokio::test]
async fn three_processes_sell_exactly_all_units_although_one_is_killed() {
    let secret = "0123456789abcdef0123456789abcdef";
    let setup =
        Setup::empty().on_postgres_and_rabbitmq().await.with("SMALLRUN_SANDBOX_WEBHOOK_SECRET", secret);
    let market = Market::open(setup, UNITS, CROWD).await;
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(Server::start(market.same_again().in_folder(&Folder::new())).await);
    }
    let urls = [market.at("/graphql"), others[0].at("/graphql"), others[1].at("/graphql")];
    let answered = Arc::new(tokio::sync::Semaphore::new(0));
    let all_at_once = Arc::new(Barrier::new(CROWD));
    let mut crowd = JoinSet::new();
    for (at, token) in market.buyers.iter().enumerate() {
        let mut urls = urls.to_vec();
        urls.rotate_left(at % 3);
        let (token, input) = (token.clone(), market.reserving(&market.item, &new_key()));
        let (all_at_once, answered) = (Arc::clone(&all_at_once), Arc::clone(&answered));
        crowd.spawn(async move {
            all_at_once.wait().await;
            press(urls, token, input, answered).await
        });
    }
    let enough = answered.acquire_many(u32::try_from(DEATH_AFTER).unwrap());
    tokio::time::timeout(SOON, enough).await.expect("some requests are answered").unwrap().forget();
    others.swap_remove(0).kill();
    let mut won = BTreeSet::new();
    while let Some(answer) = crowd.join_next().await {
        won.extend(answer.unwrap());
    }
    assert_eq!(won.len(), UNITS);
    assert_eq!(market.stock().await, (0, UNITS, 0));
    let books = books::when_at_peace(&market.database_url(), Duration::from_secs(30)).await;
    let complaints = books.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert_eq!(
        books.checkouts.keys().cloned().collect::<BTreeSet<_>>(),
        won,
        "what was answered is what is there"
    );
}

on_both! {
    async fn a_full_desk_refuses_requests_with_a_time_to_retry_and_drops_disconnected_clients(setup: Setup) {
        let setup =
            setup.with("SMALLRUN_RESERVE_QUEUE_MAX", "5").with("SMALLRUN_RESERVE_WAIT_MS_MAX", "60000");
        let market = Market::open(setup, UNITS, 8).await;
        market.reserve(&market.buyers[7]).await;
        let gates = market.hold_the_gates().await;
        let reserve = mutation("checkoutReserve", "checkout { id }");
        let press = |line: PhoneLine| {
            let (reserve, input) =
                (reserve.clone(), json!({ "input": market.reserving(&market.item, &new_key()) }));
            tokio::spawn(async move { line.send(&reserve, input).await })
        };
        let mut waiting = Vec::new();
        for at in 0..5 {
            waiting.push(press(market.line(&market.buyers[at]).await));
            market.until_metric("smallrun_desk_waiting", f64::from(u32::try_from(at + 1).unwrap())).await;
        }
        let (status, body) = press(market.line(&market.buyers[6]).await).await.unwrap().unwrap();
        assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (503, &json!("BUSY")), "{body:#}");
        assert!(body["errors"][0]["extensions"]["retryAfterSecs"].as_u64().unwrap() >= 1, "{body:#}");
        // One of the waiting clients disconnects.
        let gone = waiting.swap_remove(2);
        gone.abort();
        market.until_metric("smallrun_graphql_running{kind=\"mutation\"}", 4.0).await;
        gates.execute_unprepared("ROLLBACK").await.unwrap();
        for one in waiting {
            let (status, body) = one.await.unwrap().unwrap();
            assert!(
                status == 200 && body["data"]["checkoutReserve"]["checkout"]["id"].is_string(),
                "{status} {body:#}"
            );
        }
        assert_eq!(market.stock().await, (UNITS - 5, 5, 0));
        market.until_metric("smallrun_desk_waiting", 0.0).await;
    }

    async fn no_request_waits_longer_than_the_limit_however_long_the_gates_are_held(setup: Setup) {
        let market = Market::open(setup.with("SMALLRUN_RESERVE_WAIT_MS_MAX", "200"), UNITS, 3).await;
        market.reserve(&market.buyers[2]).await;
        let gates = market.hold_the_gates().await;
        let reserve = mutation("checkoutReserve", "checkout { id }");
        let press = |line: PhoneLine| {
            let (reserve, input) =
                (reserve.clone(), json!({ "input": market.reserving(&market.item, &new_key()) }));
            tokio::spawn(async move { line.send(&reserve, input).await })
        };
        // Hold the gates until both requests have a response.
        let pressed =
            [press(market.line(&market.buyers[0]).await), press(market.line(&market.buyers[1]).await)];
        for one in pressed {
            let (status, body) = one.await.unwrap().unwrap();
            assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (503, &json!("BUSY")), "{body:#}");
        }
        market.until_metric("smallrun_desk_waiting", 0.0).await;
        gates.execute_unprepared("ROLLBACK").await.unwrap();
        // A refused buyer has reserved nothing, and the next one is served.
        market.reserve(&market.buyers[0]).await;
        assert_eq!(market.stock().await, (UNITS - 2, 2, 0));
    }

    async fn the_response_shows_a_buyer_what_to_do_next(setup: Setup) {
        let market = Market::open(setup, UNITS, 2).await;
        let now = SystemClock.now();
        let opens_at = (now + TimeDelta::hours(1)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let mut early = drop_input(&market.creator, "Later");
        early["opensAt"] = json!(opens_at);
        early["perBuyerMax"] = json!(4);
        early["minimumUnits"] = json!(3);
        let drop = id(&market.done(&market.owner, "dropCreate", "drop { id }", early).await["drop"]);
        let tiers = json!([{ "price": "40.00", "upToUnits": 3 }, { "price": "48.00" }]);
        let input = json!({
            "dropId": drop, "variantId": market.variant, "units": 9, "perBuyerMax": 9, "tiers": tiers,
        });
        let item = id(&market.done(&market.owner, "dropItemAdd", "item { id }", input).await["item"]);
        market.done(&market.owner, "dropPublish", "drop { phase }", json!({ "id": drop })).await;
        let ada = &market.buyers[0];
        let reserve = async |item: &str, units: u32| {
            let mut input = market.reserving(item, &new_key());
            input["lines"][0]["units"] = json!(units);
            input["expectedTotal"]["amount"] = json!("1000.00");
            market.tried(ada, "checkoutReserve", "retryAt checkout { id total { amount } }", input).await
        };
        let refused = reserve(&item, 1).await;
        assert_eq!(refused["errors"][0]["code"], "NOT_OPEN");
        let retry_at: DateTime<Utc> = refused["retryAt"].as_str().unwrap().parse().unwrap();
        assert_eq!(retry_at, opens_at.parse::<DateTime<Utc>>().unwrap());
        // Open the drop earlier, as its creator may do.
        let opens_now = json!({ "id": drop, "opensAt": (now - TimeDelta::minutes(1)).to_rfc3339() });
        market.done(&market.owner, "dropUpdate", "drop { phase }", opens_now).await;
        let reserved = reserve(&item, 4).await;
        assert_eq!(
            reserved["checkout"]["total"]["amount"], "168.00",
            "three units of the first tier, and one of the next"
        );
        let refused = reserve(&item, 1).await;
        assert_eq!(
            refused["errors"][0]["code"], "LIMIT_EXCEEDED",
            "the limit is four units of the drop per person"
        );
        let query = "query($id: ID!) { dropStock(dropId: $id) { asOf soldOut drop { minimumRun { units \
            confirmed held reached } } \
            items { tiers { unitsLeft } stock { free held asOf } } } }";
        let seen = market
            .until(None, query, json!({ "id": drop }), |seen| {
                seen["dropStock"]["items"][0]["stock"]["held"] == 4
            })
            .await;
        let stock = &seen["dropStock"];
        assert_eq!(stock["items"][0]["stock"]["free"], 5);
        assert_eq!(stock["items"][0]["stock"]["asOf"], stock["asOf"]);
        assert_eq!(stock["items"][0]["tiers"], json!([{ "unitsLeft": 0 }, { "unitsLeft": 5 }]));
        assert_eq!(
            stock["drop"]["minimumRun"],
            json!({ "units": 3, "confirmed": 0, "held": 4, "reached": false })
        );
        let unknown = market.graphql(None, query, json!({ "id": "drop_01h00000000000000000000000" })).await;
        assert_eq!(unknown["dropStock"], Value::Null);
    }
}
