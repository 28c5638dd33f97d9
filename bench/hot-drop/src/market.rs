//! The measured deployment: its servers, its buyers and its drops.

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

/// Raised limits: a real crowd has many network addresses, and this one has a single one.
pub(crate) const RAISED: [(&str, &str); 3] = [
    ("SMALLRUN_CONNECTIONS_PER_ADDRESS_MAX", "10000"),
    ("SMALLRUN_BUDGET_POINTS_MAX", "4000000000"),
    ("SMALLRUN_BUDGET_POINTS_PER_SECOND", "4000000000"),
];

/// The longest possible hold, so that no hold expires during the measurement.
const HOLD_SECS: u32 = 3_600;
/// The number of connections that create drops.
const ANNOUNCING: usize = 8;
/// How long to wait for the stock in the API, which may be a second old.
const STOCK_WITHIN: Duration = Duration::from_secs(5);
const STOCK_EVERY: Duration = Duration::from_millis(200);

/// The demo with buyers.
pub(crate) struct Market<'a> {
    store: &'a Store,
    launch: Launch,
    servers: Vec<Server>,
    /// Whether more processes can join.
    joined: bool,
    creator: String,
    model: Model,
    form: Form,
    tokens: Vec<String>,
    made: u32,
}

/// The units of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    /// Held or confirmed.
    pub(crate) taken: u32,
    /// Available.
    pub(crate) free: u32,
}

impl<'a> Market<'a> {
    /// Starts one server and creates buyers.
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

    /// Returns whether several processes can serve the drops, because there is a bus.
    pub(crate) fn can_grow(&self) -> bool {
        self.joined
    }

    /// Starts servers until there are `processes`.
    pub(crate) async fn grow(&mut self, processes: usize) -> Outcome<()> {
        for number in self.servers.len().saturating_add(1)..=processes {
            progress(format_args!("Starting process {number}"));
            let said = self.store.log(&format!("server-{number}"));
            self.servers.push(Server::start(&self.launch, &[], &said).await?);
        }
        Ok(())
    }

    /// Stops all servers but the first.
    pub(crate) async fn shrink(&mut self) -> Outcome<()> {
        while self.servers.len() > 1
            && let Some(server) = self.servers.pop()
        {
            server.stop().await?;
        }
        Ok(())
    }

    /// Returns the process ids of the servers.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.servers.iter().filter_map(Server::process).collect()
    }

    /// Returns the addresses of the servers, each with its template of a request.
    pub(crate) fn counters(&self) -> Vec<(SocketAddr, Form)> {
        self.servers.iter().map(|server| (server.address(), self.form.at(server.address()))).collect()
    }

    /// Returns the tokens of a range of buyers, as far as there are any.
    pub(crate) fn buyers(&self, some: Range<usize>) -> Arc<[String]> {
        self.tokens.iter().take(some.end).skip(some.start).cloned().collect()
    }

    /// Creates a drop and returns its item.
    pub(crate) async fn announce(&mut self, units: u32, per_buyer_max: u32) -> Outcome<String> {
        self.made = self.made.saturating_add(1);
        let mut desk = self.desk().await?;
        announce(&self.model, &mut desk, &self.creator, self.made, (units, per_buyer_max)).await
    }

    /// Creates many drops on several connections and returns their items.
    pub(crate) async fn announce_many(&mut self, count: u32, units: u32) -> Outcome<Arc<[String]>> {
        progress(format_args!("Creating {count} drops"));
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

    /// Waits until all background work of earlier measurements is done: letters, facts and timers.
    pub(crate) async fn rest(&self) -> Outcome<()> {
        let first = self.servers.first().ok_or_else(|| Trouble::new("no server runs"))?;
        Meter::open(first).await?.until_still(|_| true).await?;
        Ok(())
    }

    /// Returns the stock of an item from the API. Waits for a while if the number of taken units is not yet
    /// `expected`.
    pub(crate) async fn stock(&self, item: &str, expected: u32) -> Outcome<Stock> {
        let mut desk = self.desk().await?;
        let patience = tokio::time::Instant::now();
        loop {
            let query =
                "query($id: ID!) { node(id: $id) { ... on DropItem { stock { held confirmed free } } } }";
            let found = desk.ask(None, query, json!({ "id": item })).await?;
            let count = |name: &str| {
                let value = found.pointer(&format!("/node/stock/{name}")).and_then(Value::as_i64);
                // An oversold item would have a negative number of free units.
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
