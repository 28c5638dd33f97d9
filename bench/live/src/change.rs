//! Who makes the changes: for the floor, a request with a number; for ours, a creator who changes how many units there are.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::{
    processes::Process,
    watchers::{Subscription, Watchers},
};

/// Tells the floor one number after the other; answers how many.
pub(crate) async fn post(address: SocketAddr, time: Duration, every: Duration, watchers: &Watchers) -> usize {
    let client = reqwest::Client::new();
    watchers.begin(1_000);
    repeat(time, every, watchers, async |count| {
        // As long as what ours tells.
        let items = json!([{ "id": "x".repeat(35), "stock": { "units": 1_000_usize.saturating_add(count) } }]);
        let text = json!({ "id": "1", "type": "next", "payload": { "data": { "stockChanged": { "items": items } } } });
        client.post(format!("http://{address}/change")).body(text.to_string()).send().await.expect("the floor answers");
    })
    .await
}

async fn repeat(time: Duration, every: Duration, watchers: &Watchers, change: impl AsyncFn(usize)) -> usize {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut count) = (Instant::now(), 0_usize);
    while began.elapsed() < time {
        tick.tick().await;
        change(count).await;
        watchers.made();
        count = count.saturating_add(1);
    }
    count
}

/// A drop of the demo whose units change.
pub(crate) struct Stage {
    client: reqwest::Client,
    url: String,
    token: String,
    drop: String,
    item: String,
    units: u64,
}

impl Stage {
    /// Finds it.
    pub(crate) async fn find(server: &Process) -> Self {
        let (client, url, token) = (reqwest::Client::new(), server.at("/graphql"), server.demo_token("creator"));
        let empty = String::new;
        let mut stage = Self { client, url, token, drop: empty(), item: empty(), units: 0 };
        let found = stage.ask("{ viewer { account { memberships { creator { id } } } } }", json!({})).await;
        let creator = text(&found, "/viewer/account/memberships/0/creator/id");
        let query =
            "query($id: ID!) { drops(first: 1, filter: { creatorId: $id, phases: [OPEN] }) { nodes { id items { id units } } } }";
        let found = stage.ask(query, json!({ "id": creator })).await;
        stage.drop = text(&found, "/drops/nodes/0/id");
        stage.item = text(&found, "/drops/nodes/0/items/0/id");
        stage.units = found.pointer("/drops/nodes/0/items/0/units").and_then(Value::as_u64).expect("its units");
        stage
    }

    /// What watches it.
    pub(crate) fn subscription(&self) -> Subscription {
        let query = "subscription Stock($id: ID!) { stockChanged(dropId: $id) { items { id stock { units } } } }";
        let payload = json!({ "query": query, "variables": { "id": self.drop } });
        let before = format!("\"{}\",\"stock\":{{\"units\":", self.item);
        Subscription { subscribe: json!({ "type": "subscribe", "id": "1", "payload": payload }).to_string(), before }
    }

    /// Makes one change after the other; answers how many.
    pub(crate) async fn change(&self, time: Duration, every: Duration, watchers: &Watchers) -> usize {
        let first = self.units.saturating_add(1_000);
        watchers.begin(first);
        let mutation = "mutation($input: DropItemUpdateInput!) { dropItemUpdate(input: $input) { errors { message } } }";
        repeat(time, every, watchers, async |count| {
            let units = first.saturating_add(u64::try_from(count).unwrap_or(0));
            let done = self.ask(mutation, json!({ "input": { "id": self.item, "units": units } })).await;
            assert_eq!(done.pointer("/dropItemUpdate/errors"), Some(&json!([])), "{done}");
        })
        .await
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let request = self.client.post(&self.url).bearer_auth(&self.token).json(&json!({ "query": query, "variables": variables }));
        let answer: Value = request.send().await.expect("it answers").json().await.expect("it answers JSON");
        assert!(answer.get("errors").is_none(), "{answer}");
        answer.get("data").cloned().unwrap_or_default()
    }
}

fn text(found: &Value, path: &str) -> String {
    found.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no {path} in {found}")).to_owned()
}
