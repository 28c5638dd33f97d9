//! The updates that subscribers receive: the current state first, then every change, only for permitted
//! viewers, without gaps, and from any server.

use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use domain::platform::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::shop::{
    harness::{Folder, Server, Setup},
    live::socket::{STOCK, Socket, free},
    market::{CHECKOUT, Market},
};

const DROP: &str = "subscription($id: ID!) { dropChanged(id: $id) { id title phase soldOut } }";

fn checkout() -> String {
    format!("subscription($id: ID!) {{ checkoutChanged(id: $id) {{ {CHECKOUT} }} }}")
}

const RESERVATION: &str = "subscription($id: ID!) { reservationChanged(id: $id) { id state units } }";

/// Asserts that the next result of an operation is null, and that the operation then completes.
async fn is_nothing(socket: &mut Socket, id: &str, query: &str, variables: Value) {
    socket.subscribe(id, query, variables).await;
    let data = socket.data(id).await;
    assert!(data.as_object().unwrap().values().all(Value::is_null), "{query}: {data:#}");
    assert_eq!(socket.hear().await, json!({ "type": "complete", "id": id }), "{query}");
}

on_both! {
    async fn only_the_buyer_and_the_creator_get_updates_of_a_purchase(setup: Setup) {
        let market = Market::open(setup, 5, 2).await;
        let (buyer, stranger) = (&market.buyers[0], &market.buyers[1]);
        let bought = market.reserve(buyer).await;
        let line = market.checkout(buyer, &bought).await["reservations"][0]["id"].clone();
        let (of_checkout, of_line) = (json!({ "id": bought }), json!({ "id": line }));
        let mut of_buyer = Socket::open(&market, Some(buyer)).await;
        of_buyer.subscribe("checkout", &checkout(), of_checkout.clone()).await;
        let first = of_buyer.data("checkout").await["checkoutChanged"].clone();
        assert_eq!(
            (&first["status"], &first["payment"]["status"]),
            (&json!("HELD"), &json!("PREPARING")),
            "{first:#}"
        );
        let mut of_buyers_line = Socket::open(&market, Some(buyer)).await;
        let mut of_owner = Socket::open(&market, Some(&market.owner)).await;
        for socket in [&mut of_buyers_line, &mut of_owner] {
            socket.subscribe("line", RESERVATION, of_line.clone()).await;
            assert_eq!(socket.data("line").await["reservationChanged"]["state"], "HELD");
        }
        // Another buyer's checkout looks like an unknown id, and like an invalid one.
        for unknown in [json!({ "id": bought }), json!({ "id": market.drop }), json!({ "id": "nothing" })] {
            let mut other = Socket::open(&market, Some(stranger)).await;
            is_nothing(&mut other, "1", &checkout(), unknown).await;
        }
        let mut of_stranger = Socket::open(&market, Some(stranger)).await;
        for unknown in [
            of_line.clone(),
            json!({ "id": "reservation_01h00000000000000000000000" }),
            json!({ "id": "nothing" }),
        ] {
            is_nothing(&mut of_stranger, "1", RESERVATION, unknown).await;
        }
        // A viewer who can see no checkouts at all gets an error.
        let mut public = Socket::open(&market, None).await;
        for (query, variables) in [(checkout(), of_checkout), (RESERVATION.to_owned(), of_line)] {
            public.subscribe("1", &query, variables).await;
            let message = public.hear().await;
            assert_eq!(
                message["payload"]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
                "{message:#}"
            );
            assert_eq!(public.hear().await["type"], "complete");
        }
        market.pay(buyer, &bought, "pm_sandbox_success").await;
        let paid = of_buyer.until("checkout", |data| data["checkoutChanged"]["status"] == "CONFIRMED").await;
        assert_eq!(paid["checkoutChanged"]["payment"]["status"], "SUCCEEDED", "{paid:#}");
        for socket in [&mut of_buyers_line, &mut of_owner] {
            socket.until("line", |data| data["reservationChanged"]["state"] == "CONFIRMED").await;
        }
    }

    async fn subscribers_get_every_change_of_stock(setup: Setup) {
        let market = Market::open(setup, 2, 2).await;
        let mut public = Socket::open(&market, None).await;
        public.subscribe("1", STOCK, json!({ "id": market.drop })).await;
        assert_eq!(free(&public.data("1").await), 2);
        let first = market.reserve(&market.buyers[0]).await;
        assert_eq!(free(&public.data("1").await), 1);
        market.reserve(&market.buyers[1]).await;
        let sold = public.data("1").await;
        assert_eq!((free(&sold), &sold["stockChanged"]["soldOut"]), (0, &json!(true)));
        let line = market.checkout(&market.buyers[0], &first).await["reservations"][0]["id"].clone();
        market
            .done(
                &market.buyers[0],
                "reservationCancel",
                "checkout { status }",
                json!({ "reservationId": line, "idempotencyKey": "given-up-1" }),
            )
            .await;
        let back = public.data("1").await;
        assert_eq!((free(&back), &back["stockChanged"]["soldOut"]), (1, &json!(false)));
        // A new operation, and one of another viewer, begin with the current state.
        public.subscribe("2", STOCK, json!({ "id": market.drop })).await;
        assert_eq!(free(&public.data("2").await), 1);
        let mut other = Socket::open(&market, Some(&market.owner)).await;
        other.subscribe("1", STOCK, json!({ "id": market.drop })).await;
        assert_eq!(free(&other.data("1").await), 1);
        // There is no update without a change.
        public.is_quiet(Duration::from_millis(500)).await;
    }

    async fn subscribers_get_the_changes_and_the_withdrawal_of_a_drop(setup: Setup) {
        let market = Market::open(setup, 2, 1).await;
        let (draft, _) =
            market.new_draft(&market.owner, &market.creator, &market.variant, "Bowls in May", 3).await;
        let mut public = Socket::open(&market, None).await;
        let mut member = Socket::open(&market, Some(&market.owner)).await;
        for (query, of) in [
            (DROP, json!({ "id": draft })),
            (STOCK, json!({ "id": draft })),
            (DROP, json!({ "id": "nothing" })),
        ] {
            is_nothing(&mut public, "1", query, of).await;
        }
        member.subscribe("1", DROP, json!({ "id": draft })).await;
        assert_eq!(member.data("1").await["dropChanged"]["phase"], "DRAFT");
        market.done(&market.owner, "dropPublish", "drop { phase }", json!({ "id": draft })).await;
        assert_eq!(member.data("1").await["dropChanged"]["phase"], "OPEN");
        public.subscribe("1", DROP, json!({ "id": draft })).await;
        public.subscribe("2", STOCK, json!({ "id": draft })).await;
        let first = [public.hear().await, public.hear().await];
        assert!(first.iter().all(|message| message["type"] == "next"), "{first:#?}");
        market.done(&market.owner, "dropWithdraw", "drop { phase }", json!({ "id": draft })).await;
        assert_eq!(member.data("1").await["dropChanged"]["phase"], "DRAFT");
        // The drop is no longer public: both subscriptions get null and complete.
        let mut last: Vec<Value> = Vec::new();
        while last.iter().filter(|message| message["type"] == "complete").count() < 2 {
            last.push(public.hear().await);
        }
        let nulls = last.iter().filter(|message| message["type"] == "next");
        assert!(
            nulls.clone().count() == 2
                && nulls.clone().all(|message| message["payload"]["data"]
                    .as_object()
                    .unwrap()
                    .values()
                    .all(Value::is_null)),
            "{last:#?}"
        );
    }
}

#[tokio::test]
async fn subscribers_get_changes_that_are_caused_by_time_alone() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let (draft, _) =
        market.new_draft(&market.owner, &market.creator, &market.variant, "Bowls in May", 3).await;
    let soon =
        |secs| (SystemClock.now() + TimeDelta::seconds(secs)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let window = json!({ "id": draft, "opensAt": soon(4), "closesAt": soon(7) });
    market.done(&market.owner, "dropUpdate", "drop { phase }", window).await;
    market.done(&market.owner, "dropPublish", "drop { phase }", json!({ "id": draft })).await;
    let mut public = Socket::open(&market, None).await;
    public.subscribe("1", DROP, json!({ "id": draft })).await;
    let mut phases = Vec::new();
    while phases.last() != Some(&"CLOSED".to_owned()) {
        phases.push(public.data("1").await["dropChanged"]["phase"].as_str().unwrap().to_owned());
    }
    // On a very busy machine, the first change may already have happened.
    assert!(
        phases.len() > 1 && ["SCHEDULED", "OPEN", "CLOSED"].map(str::to_owned).ends_with(&phases),
        "{phases:?}"
    );
}

#[tokio::test]
async fn subscribers_get_updates_of_reservations_at_another_server() {
    let market = Market::open(Setup::empty().on_postgres_and_rabbitmq().await, 5, 2).await;
    let secret = "a secret that both servers know";
    let setup = market.same_again().in_folder(&Folder::new()).with("SMALLRUN_SANDBOX_WEBHOOK_SECRET", secret);
    // The other server has no workers, but still follows the facts.
    let other = Server::start(setup.without_workers()).await;
    let mut public = Socket::open(&other, None).await;
    public.subscribe("1", STOCK, json!({ "id": market.drop })).await;
    assert_eq!(free(&public.data("1").await), 5);
    let bought = market.reserve(&market.buyers[0]).await;
    assert_eq!(free(&public.data("1").await), 4);
    let mut buyer = Socket::open(&other, Some(&market.buyers[0])).await;
    buyer.subscribe("1", &checkout(), json!({ "id": bought })).await;
    assert_eq!(buyer.data("1").await["checkoutChanged"]["status"], "HELD");
    market.pay(&market.buyers[0], &bought, "pm_sandbox_success").await;
    buyer.until("1", |data| data["checkoutChanged"]["status"] == "CONFIRMED").await;
}

/// Checks that no update is missed. Buyers reserve as fast as possible while subscribers arrive. Each
/// subscriber queries the stock and then subscribes. Its updates begin no earlier than the query's response,
/// never go back, and end with the final state.
async fn nothing_is_missed(setup: Setup) {
    let market = std::sync::Arc::new(Market::open(setup, 60, 60).await);
    let reserving = {
        let market = std::sync::Arc::clone(&market);
        tokio::spawn(async move {
            for buyer in &market.buyers {
                market.reserve(buyer).await;
            }
        })
    };
    let mut watching = Vec::new();
    for number in 0..30_u64 {
        let market = std::sync::Arc::clone(&market);
        watching.push(tokio::spawn(async move {
            // Half of the subscribers share one execution, the others have their own.
            let token = (number % 2 == 0).then(|| market.buyers[0].clone());
            let mut socket = Socket::open(&market, token.as_deref()).await;
            let (mut before, _, _) = market.stock().await;
            socket.subscribe("1", STOCK, json!({ "id": market.drop })).await;
            loop {
                let now = usize::try_from(free(&socket.data("1").await)).unwrap();
                assert!(now <= before, "{now} after {before}");
                before = now;
                if now == 0 {
                    return;
                }
            }
        }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    reserving.await.unwrap();
    for watching in watching {
        watching.await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_missed_between_query_and_subscription_embedded() {
    nothing_is_missed(Setup::empty()).await;
}

#[tokio::test]
async fn nothing_is_missed_between_query_and_subscription_in_production() {
    nothing_is_missed(Setup::empty().on_postgres_and_rabbitmq().await).await;
}
