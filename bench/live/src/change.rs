//! The source of changes: for the floor, a request with a number; for Smallrun, a creator who changes the
//! number of units.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::{processes::Process, watchers::Watchers};

/// The items of the drop. Each is changed by sequential requests, all items in parallel, so that changes are
/// made at the desired rate even if a single one takes long.
const ITEMS: u32 = 20;
/// The initial number of units of an item.
const UNITS: u64 = 1_000;

/// Sends numbers to the floor and returns how many.
pub(crate) async fn post(address: SocketAddr, time: Duration, every: Duration, watchers: &Watchers) -> usize {
    let client = reqwest::Client::new();
    watchers.begin(UNITS.saturating_mul(ITEMS.into()));
    repeat(time, every, watchers, async |count| {
        // As long as a message of Smallrun.
        let item = |units: u64| json!({ "stock": { "units": units } });
        let changed = item(UNITS.saturating_add(count));
        let items: Vec<Value> = std::iter::once(changed).chain((1..ITEMS).map(|_| item(UNITS))).collect();
        let data = json!({ "stockChanged": { "items": items } });
        let text = json!({ "id": "1", "type": "next", "payload": { "data": data } });
        let request = client.post(format!("http://{address}/change")).body(text.to_string());
        request.send().await.expect("the floor responds");
    })
    .await
}

/// Makes changes at a steady rate and returns their number.
async fn repeat(time: Duration, every: Duration, watchers: &Watchers, change: impl AsyncFn(u64)) -> usize {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut count) = (Instant::now(), 0_usize);
    while began.elapsed() < time {
        tick.tick().await;
        change(u64::try_from(count).unwrap_or(u64::MAX)).await;
        watchers.made();
        count = count.saturating_add(1);
    }
    count
}

/// An open drop of the demo's creator, whose units change.
pub(crate) struct Stage {
    asker: Asker,
    drop: String,
    items: Vec<String>,
}

impl Stage {
    /// Creates the drop.
    pub(crate) async fn build(server: &Process) -> Self {
        let asker = Asker {
            client: reqwest::Client::new(),
            url: server.at("/graphql"),
            token: server.demo_token("creator"),
        };
        let found =
            asker.ask("{ viewer { account { memberships { creator { id currency } } } } }", json!({})).await;
        let creator = text(&found, "/viewer/account/memberships/0/creator/id");
        let currency = text(&found, "/viewer/account/memberships/0/creator/currency");
        let thing = json!({ "creatorId": creator, "title": "Watched" });
        let product = text(
            &asker.change(("productCreate", "ProductCreateInput"), "product { id }", thing).await,
            "/product/id",
        );
        // With the window of an open drop of the demo.
        let found = asker
            .ask("{ drops(first: 1, filter: { phases: [OPEN] }) { nodes { opensAt closesAt } } }", json!({}))
            .await;
        let (opens_at, closes_at) =
            (text(&found, "/drops/nodes/0/opensAt"), text(&found, "/drops/nodes/0/closesAt"));
        let run = json!({
            "creatorId": creator, "title": "Watched by all", "opensAt": opens_at, "closesAt": closes_at,
            "deposit": { "percent": "30" }, "balance": { "beforeShipping": true }, "leadTimeDays": 30,
        });
        let drop =
            text(&asker.change(("dropCreate", "DropCreateInput"), "drop { id }", run).await, "/drop/id");
        let mut items = Vec::new();
        for number in 0..ITEMS {
            let price = json!({ "amount": "5.00", "currency": currency });
            let variant = json!({
                "productId": product, "sku": format!("WATCHED-{number}"), "title": format!("No. {number}"),
                "price": price,
            });
            let variant = text(
                &asker.change(("variantCreate", "VariantCreateInput"), "variant { id }", variant).await,
                "/variant/id",
            );
            let item = json!({
                "dropId": drop, "variantId": variant, "units": UNITS, "perBuyerMax": 1,
                "tiers": [{ "price": "5.00" }],
            });
            items.push(text(
                &asker.change(("dropItemAdd", "DropItemAddInput"), "item { id }", item).await,
                "/item/id",
            ));
        }
        asker.change(("dropPublish", "DropIdInput"), "drop { id }", json!({ "id": drop })).await;
        Self { asker, drop, items }
    }

    /// Returns the message that subscribes to the drop.
    pub(crate) fn subscribe(&self) -> String {
        let query =
            "subscription Stock($id: ID!) { stockChanged(dropId: $id) { items { stock { units } } } }";
        let payload = json!({ "query": query, "variables": { "id": self.drop } });
        json!({ "type": "subscribe", "id": "1", "payload": payload }).to_string()
    }

    /// Makes changes, each of which adds a unit, and returns their number.
    pub(crate) async fn change(&self, time: Duration, every: Duration, watchers: &Watchers) -> usize {
        watchers.begin(UNITS.saturating_mul(ITEMS.into()).saturating_add(1));
        let changes = (0..ITEMS).zip(&self.items).map(async |(number, item)| {
            tokio::time::sleep(every.saturating_mul(number)).await;
            repeat(time, every.saturating_mul(ITEMS), watchers, async |count| {
                let units = UNITS.saturating_add(count).saturating_add(1);
                self.asker
                    .change(
                        ("dropItemUpdate", "DropItemUpdateInput"),
                        "item { id }",
                        json!({ "id": item, "units": units }),
                    )
                    .await;
            })
            .await
        });
        join_all(changes).await.into_iter().sum()
    }
}

/// A GraphQL client.
struct Asker {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Asker {
    /// Runs a mutation, given by its name and the type of its input, that must succeed. Returns its payload.
    async fn change(&self, (name, kind): (&str, &str), fields: &str, input: Value) -> Value {
        let mutation = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{ {fields} errors {{ message }} }} }}"
        );
        let payload =
            self.ask(&mutation, json!({ "input": input })).await.get(name).cloned().unwrap_or_default();
        assert_eq!(payload.get("errors"), Some(&json!([])), "{name}: {payload}");
        payload
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let request = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .json(&json!({ "query": query, "variables": variables }));
        let answer: Value =
            request.send().await.expect("the server responds").json().await.expect("the response is JSON");
        assert!(answer.get("errors").is_none(), "{answer}");
        answer.get("data").cloned().unwrap_or_default()
    }
}

fn text(found: &Value, path: &str) -> String {
    found.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no {path} in {found}")).to_owned()
}
