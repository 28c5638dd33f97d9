//! Black-box tests of the demo's clock: when it is set forward next to a running server, windows, holds, late
//! payments and letters follow.

use crate::harness::{Ended, Server, Setup};
use serde_json::{Value, json};

const BUYER: &str = "buyer@demo.example";

/// A demo with a buyer.
struct Demo {
    server: Server,
    buyer: String,
}

impl Demo {
    async fn done(&self, name: &str, fields: &str, input: Value) -> Value {
        let kind = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
        let query = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{ {fields} errors {{ code path }} }} }}"
        );
        let payload =
            self.server.graphql(Some(&self.buyer), &query, json!({ "input": input })).await[name].clone();
        assert_eq!(payload["errors"], json!([]), "{name}: {payload:#}");
        payload
    }

    /// Returns a drop that stays open for some time, and one of its items that has at least two free units.
    async fn open_drop(&self) -> (String, String) {
        let query = "{ drops(first: 50, filter: { phases: [OPEN], available: true }) { nodes { \
                     id closingSoon creator { country } items { id stock { free } } } } }";
        let drops = self.server.graphql(None, query, json!({})).await["drops"]["nodes"].clone();
        let open = drops.as_array().unwrap().iter().filter(|drop| drop["closingSoon"] == false);
        let mut found =
            open.flat_map(|drop| drop["items"].as_array().unwrap().iter().map(move |item| (drop, item)));
        let (drop, item) = found.find(|(_, item)| item["stock"]["free"].as_u64() > Some(1)).unwrap();
        (drop["id"].as_str().unwrap().to_owned(), item["id"].as_str().unwrap().to_owned())
    }

    async fn reserve(&self, item: &str, key: &str) -> String {
        let lines = json!([{ "itemId": item, "units": 1 }]);
        let quoted = "query($input: CheckoutQuoteInput!) { \
                      checkoutQuote(input: $input) { quote { total { amount currency } } errors { code } } \
                      legalTexts { id } }";
        let input = json!({ "input": { "lines": lines, "country": "DE" } });
        let data = self.server.graphql(Some(&self.buyer), quoted, input).await;
        let legal: Vec<&Value> =
            data["legalTexts"].as_array().unwrap().iter().map(|text| &text["id"]).collect();
        let input = json!({
            "lines": lines,
            "expectedTotal": data["checkoutQuote"]["quote"]["total"],
            "acceptedLegalTextIds": legal,
            "address": {
                "name": "Bo", "line1": "Ring 1", "postalCode": "10115", "city": "Berlin", "country": "DE",
            },
            "idempotencyKey": key,
        });
        let payload = self.done("checkoutReserve", "checkout { id }", input).await;
        payload["checkout"]["id"].as_str().unwrap().to_owned()
    }

    async fn until(&self, checkout: &str, good: impl Fn(&Value) -> bool) {
        let query = "query($id: ID!) { checkout(id: $id) { status payment { status } } }";
        self.server
            .until(Some(&self.buyer), query, json!({ "id": checkout }), |data| good(&data["checkout"]))
            .await;
    }

    fn travel(&self, by: &str) {
        let ended = Ended::of(&mut self.server.command(&["demo", "travel", by]));
        assert!(
            ended.code == Some(0) && ended.stdout.starts_with("The demo's clock now shows "),
            "{ended:#?}"
        );
    }
}

async fn the_clock_of_a_demo_can_be_set_forward(setup: Setup) {
    let server = Server::start(setup).await;
    let demo = Demo { buyer: server.demo_token("buyer"), server };
    let (drop, item) = demo.open_drop().await;

    let unpaid = demo.reserve(&item, "this-one-lapses").await;
    demo.server.letter(BUYER, "Subject: Reserved until").await;
    demo.travel("15m");
    demo.until(&unpaid, |seen| seen["status"] == "LAPSED").await;
    let letter = demo.server.letter(BUYER, "Subject: Your reservation has ended").await;
    assert!(letter.contains(&unpaid), "{letter}");

    let late = demo.reserve(&item, "this-one-is-paid-late").await;
    let input =
        json!({ "checkoutId": late, "paymentMethod": "pm_sandbox_late", "idempotencyKey": "late-payment" });
    demo.done("checkoutPay", "payment { status }", input).await;
    demo.until(&late, |seen| seen["payment"]["status"] == "PROCESSING").await;
    demo.travel("1m");
    demo.until(&late, |seen| seen["status"] == "CONFIRMED").await;
    demo.server.letter(BUYER, "Subject: Your reservation is confirmed").await;

    let phase = "query($id: ID!) { node(id: $id) { ... on Drop { phase } } }";
    let seen = demo.server.graphql(None, phase, json!({ "id": drop })).await;
    assert_eq!(seen["node"]["phase"], "OPEN");
    demo.travel("2d");
    demo.server.until(None, phase, json!({ "id": drop }), |data| data["node"]["phase"] == "CLOSED").await;

    // The clock keeps its offset after a restart.
    let (again, buyer) = (demo.server.same_again(), demo.buyer.clone());
    assert!(demo.server.stop().await.0.success());
    let server = Server::start(again).await;
    let seen = server.graphql(Some(&buyer), phase, json!({ "id": drop })).await;
    assert_eq!(seen["node"]["phase"], "CLOSED");
}

#[tokio::test]
async fn sqlite_the_clock_of_a_demo_can_be_set_forward() {
    the_clock_of_a_demo_can_be_set_forward(Setup::demo()).await;
}

#[tokio::test]
async fn postgres_the_clock_of_a_demo_can_be_set_forward() {
    the_clock_of_a_demo_can_be_set_forward(Setup::demo().on_postgres().await).await;
}

#[tokio::test]
async fn only_a_demo_travels_and_only_forward() {
    let server = Server::start(Setup::empty()).await;
    let refused = |by: &str| Ended::of(&mut server.command(&["demo", "travel", by]));
    let ended = refused("2d");
    assert!(
        ended.code == Some(1)
            && ended.stderr.contains("the clock was not set: this deployment is not a demo."),
        "{ended:#?}"
    );
    for by in ["yesterday", "0d", "2w"] {
        let ended = refused(by);
        assert!(
            ended.code == Some(2) && ended.stderr.contains("such as 2d, 36h, 90m or 1d12h"),
            "{ended:#?}"
        );
    }
}
