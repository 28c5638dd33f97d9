//! Outages of the database under load: it is stopped and started again, or connections break at a COMMIT.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::shop::{
    books,
    harness::{Ended, Folder, Setup},
    market::{Market, mutation, new_key},
};

/// How often the database is stopped.
const OUTAGES: u32 = 5;
/// Fault F16: every request is answered within this time, whatever the database does.
const DEADLINE: Duration = Duration::from_secs(35);
const WELL_WITHIN: Duration = Duration::from_secs(10);
const PEACE_WITHIN: Duration = Duration::from_secs(60);
/// How long the database is stopped each time.
const AWAY: Duration = Duration::from_millis(500);
const BUYERS: usize = 20;
const UNITS: usize = 200;

/// A private PostgreSQL server, which the test can stop.
struct Postgres(Arc<Folder>);

impl Postgres {
    fn script(folder: &Path, action: &str) -> Ended {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        // The server must be durable, because an immediate stop loses everything that is not on the disk.
        let ended = Ended::of(Command::new(script).arg(action).arg(folder.join("postgres")).arg("--durable"));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended
    }

    /// Starts the server, and returns it with its URL, which names no database.
    fn start() -> (Self, String) {
        let folder = Folder::new();
        // The server's user needs access to its folder.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let url = Self::script(folder.path(), "start").stdout.trim().to_owned();
        (Self(folder), url)
    }

    fn stop(&self) {
        Self::script(self.0.path(), "stop");
    }

    fn start_again(&self) {
        Self::script(self.0.path(), "start");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
        let _stopped_before = Command::new(script).arg("stop").arg(self.0.path().join("postgres")).output();
    }
}

/// Sends a reservation with one key until there is a response. Returns `None` if there are not enough units.
async fn reserve_at_last(url: &str, token: &str, input: &Value, failures: &AtomicU32) -> Option<String> {
    let client = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
    let reserve = mutation("checkoutReserve", "checkout { id }");
    let patience = Instant::now();
    loop {
        let request = client
            .post(url)
            .bearer_auth(token)
            .json(&json!({ "query": reserve, "variables": { "input": input } }));
        let asked = Instant::now();
        let answer = request
            .send()
            .await
            .unwrap_or_else(|error| panic!("no answer after {:?}: {error}", asked.elapsed()));
        let body: Value = answer.json().await.unwrap();
        if asked.elapsed() >= AWAY.div_f32(2.0) {
            // The buyer only has to wait and retry.
            failures.fetch_add(1, Ordering::Relaxed);
        }
        if body.get("errors").is_none() {
            let payload = &body["data"]["checkoutReserve"];
            return payload["checkout"]["id"].as_str().map(ToOwned::to_owned).or_else(|| {
                assert!(
                    ["SOLD_OUT", "LIMIT_EXCEEDED"].contains(&payload["errors"][0]["code"].as_str().unwrap()),
                    "{body:#}"
                );
                None
            });
        }
        failures.fetch_add(1, Ordering::Relaxed);
        assert!(
            patience.elapsed() < Duration::from_secs(90),
            "the database is not available again: {body:#}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_outage_of_the_database_under_load_costs_only_time() {
    let (postgres, url) = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let setup = Setup::empty().on_postgres_at(&url).await.with("SMALLRUN_GATEWAY_CALLS_PER_SECOND", "10000");
    let market = Arc::new(Market::open(setup, UNITS, BUYERS).await);
    let (going, failures) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let mut buyers = JoinSet::new();
    for buyer in 0..BUYERS {
        let (market, going, failures) = (Arc::clone(&market), Arc::clone(&going), Arc::clone(&failures));
        buyers.spawn(async move {
            let (mut mine, url, token) = (Vec::new(), market.at("/graphql"), market.buyers[buyer].clone());
            while going.load(Ordering::Relaxed) {
                let input = market.reserving(&market.item, &new_key());
                match reserve_at_last(&url, &token, &input, &failures).await {
                    Some(checkout) => mine.push(checkout),
                    // This buyer has reached the limit per person; the others continue.
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            mine
        });
    }
    for _ in 0..OUTAGES {
        tokio::time::sleep(Duration::from_millis(700)).await;
        postgres.stop();
        tokio::time::sleep(AWAY).await;
        postgres.start_again();
        let back = Instant::now();
        market.until_ready(WELL_WITHIN).await;
        assert!(back.elapsed() < WELL_WITHIN, "{:?}", back.elapsed());
    }
    going.store(false, Ordering::Relaxed);
    let mut promised = Vec::new();
    while let Some(mine) = buyers.join_next().await {
        promised.extend(mine.unwrap());
    }
    assert!(failures.load(Ordering::Relaxed) > 0, "no request noticed the outages");
    let books = books::when_at_peace(&market.database_url(), PEACE_WITHIN).await;
    assert!(books.complaints().is_empty(), "{:#?}", books.complaints());
    for checkout in &promised {
        assert!(books.checkouts.contains_key(checkout), "{checkout} was promised");
    }
    assert_eq!(books.checkouts.len(), promised.len(), "there are checkouts that were in no response");
}

/// Mode of the proxy: the next COMMIT passes.
const PASS: u8 = 0;
/// Mode of the proxy: the next COMMIT never reaches the database.
const LOSE_COMMIT: u8 = 1;
/// Mode of the proxy: the next COMMIT reaches the database, but its response is lost.
const LOSE_ANSWER: u8 = 2;

/// Runs a proxy between the server and its database.
async fn proxy(listener: TcpListener, database: String, mode: Arc<AtomicU8>, broken: Arc<AtomicU32>) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let (database, mode, broken) = (database.clone(), Arc::clone(&mode), Arc::clone(&broken));
        tokio::spawn(async move {
            let mut server = TcpStream::connect(&database).await.unwrap();
            let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
            loop {
                tokio::select! {
                    read = client.read(&mut from_client) => {
                        let Ok(count @ 1..) = read else { return };
                        let sent = &from_client[..count];
                        if sent.windows(6).any(|word| word == b"COMMIT") {
                            let fault = mode.swap(PASS, Ordering::Relaxed);
                            if fault == LOSE_ANSWER {
                                server.write_all(sent).await.unwrap();
                                // When the database answers, it has received the COMMIT.
                                let _answered = server.read(&mut from_server).await;
                            }
                            if fault != PASS {
                                broken.fetch_add(1, Ordering::Relaxed);
                                return;
                            }
                        }
                        if server.write_all(sent).await.is_err() { return }
                    }
                    read = server.read(&mut from_server) => {
                        let Ok(count @ 1..) = read else { return };
                        if client.write_all(&from_server[..count]).await.is_err() { return }
                    }
                }
            }
        });
    }
}

// With two threads, the proxy keeps running while the test waits for commands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_at_a_commit_leaves_at_most_one_reservation_per_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let setup = Setup::empty().on_postgres_by_way_of(&address).await;
    let (mode, broken) = (Arc::new(AtomicU8::new(PASS)), Arc::new(AtomicU32::new(0)));
    tokio::spawn(proxy(listener, setup.postgres_address(), Arc::clone(&mode), Arc::clone(&broken)));
    let market = Market::open(setup, 40, 10).await;
    let (failures, mut promised) = (AtomicU32::new(0), 0);
    for round in 0..10_usize {
        let input = market.reserving(&market.item, &new_key());
        mode.store(if round % 2 == 0 { LOSE_COMMIT } else { LOSE_ANSWER }, Ordering::Relaxed);
        let checkout =
            reserve_at_last(&market.at("/graphql"), &market.buyers[round], &input, &failures).await;
        assert!(checkout.is_some());
        promised += 1;
    }
    mode.store(PASS, Ordering::Relaxed);
    assert!(broken.load(Ordering::Relaxed) >= 5, "connections broke");
    let books = books::when_at_peace(&market.database_url(), PEACE_WITHIN).await;
    assert!(books.complaints().is_empty(), "{:#?}", books.complaints());
    assert_eq!((books.checkouts.len(), market.stock().await), (promised, (40 - promised, promised, 0)));
}
