//! The deployment that is measured: its servers, its buyers, and the drops that they press on.

use std::{net::SocketAddr, ops::Range, path::Path, sync::Arc, time::Duration};

use bench::{
    Outcome, Trouble,
    desk::Desk,
    drops::{Model, Offer},
    meter::Meter,
    progress,
    reserve::Form,
    server::{self, Launch, Server},
    store::Store,
};
use serde_json::{Value, json};
use testkit::TestBroker;
use tokio::task::JoinSet;

/// What is raised, and why: a crowd has many addresses, and this one has one.
pub(crate) const RAISED: [(&str, &str); 3] = [
    ("SMALLRUN_CONNECTIONS_PER_ADDRESS_MAX", "10000"),
    ("SMALLRUN_BUDGET_POINTS_MAX", "4000000000"),
    ("SMALLRUN_BUDGET_POINTS_PER_SECOND", "4000000000"),
];

/// The longest there is: no hold runs out while others are measured.
const HOLD_SECS: u32 = 3_600;
/// Connections that announce many drops.
const ANNOUNCING: usize = 8;
/// The stock that the API tells may be a second old; it is waited for so long.
const STOCK_WITHIN: Duration = Duration::from_secs(5);
const STOCK_EVERY: Duration = Duration::from_millis(200);

/// The demo with a crowd.
pub(crate) struct Market<'a> {
    store: &'a Store,
    launch: Launch,
    servers: Vec<Server>,
    /// Whether more processes may join.
    joined: bool,
    creator: String,
    model: Model,
    form: Form,
    tokens: Vec<String>,
    made: u32,
}

/// Where the units of an item are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    /// Held or paid for.
    pub(crate) taken: u32,
    /// Neither.
    pub(crate) free: u32,
}

impl<'a> Market<'a> {
    /// Starts one server, and makes so many buyers.
    pub(crate) async fn open(
        given: Option<&Path>,
        store: &'a Store,
        broker: Option<&TestBroker>,
        buyers: u32,
    ) -> Outcome<Self> {
        let binary = server::binary(given).await?;
        let mut launch =
            RAISED.iter().fold(Launch::new(binary, store), |launch, (name, value)| launch.with(name, value));
        if let Some(broker) = broker {
            launch = launch.with("SMALLRUN_BUS_URL", broker.url());
        }
        progress(format_args!("Starting smallrun with the demo marketplace, {}", store.describe()));
        let first = Server::start(&launch, &["--demo"], &store.log("server-1")).await?;
        let tokens = first.make_buyers(buyers).await?;
        let creator = first.creator_token()?;
        let mut desk = Desk::open(first.address()).await?;
        let model = Model::find(&mut desk).await?;
        let offer =
            Offer { slug: "hot-first", title: "The first", units: 1, per_buyer_max: 1, hold_secs: HOLD_SECS };
        let priced = model.announce(&mut desk, &creator, offer).await?;
        let form = Form::draw_up(&mut desk, &priced.item).await?;
        Ok(Self {
            store,
            launch,
            servers: vec![first],
            joined: broker.is_some(),
            creator,
            model,
            form,
            tokens,
            made: 0,
        })
    }

    /// Whether several processes can serve it: there is a bus between them.
    pub(crate) fn can_grow(&self) -> bool {
        self.joined
    }

    /// Starts servers until there are so many.
    pub(crate) async fn grow(&mut self, processes: usize) -> Outcome<()> {
        for number in self.servers.len().saturating_add(1)..=processes {
            progress(format_args!("Starting process {number}"));
            let said = self.store.log(&format!("server-{number}"));
            self.servers.push(Server::start(&self.launch, &[], &said).await?);
        }
        Ok(())
    }

    /// Stops all but the first.
    pub(crate) async fn shrink(&mut self) -> Outcome<()> {
        while self.servers.len() > 1
            && let Some(server) = self.servers.pop()
        {
            server.stop().await?;
        }
        Ok(())
    }

    /// The numbers of the servers' processes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.servers.iter().filter_map(Server::process).collect()
    }

    /// Where the servers listen, each with the form of a reservation there.
    pub(crate) fn counters(&self) -> Vec<(SocketAddr, Form)> {
        self.servers.iter().map(|server| (server.address(), self.form.at(server.address()))).collect()
    }

    /// The tokens of some buyers, as many of them as there are.
    pub(crate) fn buyers(&self, some: Range<usize>) -> Arc<[String]> {
        self.tokens.iter().take(some.end).skip(some.start).cloned().collect()
    }

    /// Announces one drop; answers its item.
    pub(crate) async fn announce(&mut self, units: u32, per_buyer_max: u32) -> Outcome<String> {
        self.made = self.made.saturating_add(1);
        let mut desk = self.desk().await?;
        announce(&self.model, &mut desk, &self.creator, self.made, (units, per_buyer_max)).await
    }

    /// Announces many, on several connections; answers their items.
    pub(crate) async fn announce_many(&mut self, count: u32, units: u32) -> Outcome<Arc<[String]>> {
        progress(format_args!("Announcing {count} drops"));
        let numbers: Vec<u32> = (self.made.saturating_add(1)..=self.made.saturating_add(count)).collect();
        self.made = self.made.saturating_add(count);
        let mut announcing = JoinSet::new();
        let each = numbers.len().div_ceil(ANNOUNCING).max(1);
        for some in numbers.chunks(each) {
            let (some, mut desk) = (some.to_vec(), self.desk().await?);
            let (model, creator) = (self.model.clone(), self.creator.clone());
            announcing.spawn(async move {
                let mut items = Vec::new();
                for number in some {
                    items.push(announce(&model, &mut desk, &creator, number, (units, units)).await?);
                }
                Ok::<_, Trouble>(items)
            });
        }
        let mut items = Vec::new();
        while let Some(some) = announcing.join_next().await {
            items.extend(some.map_err(Trouble::new)??);
        }
        Ok(items.into())
    }

    /// Waits until nothing is left of what was before: letters, facts, timers.
    pub(crate) async fn rest(&self) -> Outcome<()> {
        let first = self.servers.first().ok_or_else(|| Trouble::new("no server runs"))?;
        Meter::open(first).await?.until_still(|_| true).await?;
        Ok(())
    }

    /// Where the units of an item are, as the API tells it: at once if so many are taken, else when it has
    /// had time.
    pub(crate) async fn stock(&self, item: &str, expected: u32) -> Outcome<Stock> {
        let mut desk = self.desk().await?;
        let patience = tokio::time::Instant::now();
        loop {
            let query =
                "query($id: ID!) { node(id: $id) { ... on DropItem { stock { held confirmed free } } } }";
            let found = desk.ask(None, query, json!({ "id": item })).await?;
            let count = |name: &str| {
                let value = found.pointer(&format!("/node/stock/{name}")).and_then(Value::as_i64);
                // Fewer than none would be free if more had been sold than there are.
                let value = value.map(|value| u32::try_from(value).unwrap_or(0));
                value.ok_or_else(|| Trouble::new(format_args!("no {name} in {found}")))
            };
            let stock =
                Stock { taken: count("held")?.saturating_add(count("confirmed")?), free: count("free")? };
            if stock.taken == expected || patience.elapsed() > STOCK_WITHIN {
                return Ok(stock);
            }
            tokio::time::sleep(STOCK_EVERY).await;
        }
    }

    async fn desk(&self) -> Outcome<Desk> {
        let first = self.servers.first().ok_or_else(|| Trouble::new("no server runs"))?;
        Desk::open(first.address()).await
    }
}

async fn announce(
    model: &Model,
    desk: &mut Desk,
    creator: &str,
    number: u32,
    (units, per_buyer_max): (u32, u32),
) -> Outcome<String> {
    let (slug, title) = (format!("hot-{number}"), format!("Hot {number}"));
    let offer = Offer { slug: &slug, title: &title, units, per_buyer_max, hold_secs: HOLD_SECS };
    Ok(model.announce(desk, creator, offer).await?.item)
}
