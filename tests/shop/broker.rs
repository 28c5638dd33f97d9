//! Several processes with a broker: separate workers, a killed worker, and an outage of the broker.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::shop::{
    harness::{Ended, Folder, SOON, Server, Setup},
    market::{Market, address_of},
};

/// How long the broker is stopped, as in fault F26 of the fault catalogue.
const GONE: Duration = Duration::from_secs(60);
/// How long the broker is short of memory.
const SHORT: Duration = Duration::from_secs(15);

async fn production() -> Setup {
    Setup::empty().on_postgres_and_rabbitmq().await
}

/// Reserves and pays, and returns the checkout.
async fn buy(market: &Market, buyer: usize) -> String {
    let token = &market.buyers[buyer];
    let checkout = market.reserve(token).await;
    market.pay(token, &checkout, "pm_sandbox_success").await;
    checkout
}

async fn is_confirmed_once(market: &Market, buyer: usize, checkout: &str) {
    let token = &market.buyers[buyer];
    market.checkout_when(token, checkout, |seen| seen["status"] == "CONFIRMED").await;
    market.letter(&address_of(buyer), "Subject: Your reservation is confirmed").await;
    assert_eq!(market.letters(&address_of(buyer), "Subject: Your reservation is confirmed"), 1);
    // This letter is not sent if the reservation was confirmed before.
    assert!(market.letters(&address_of(buyer), "Subject: Reserved until") <= 1);
}

#[tokio::test]
async fn servers_without_workers_leave_the_work_to_worker_processes_with_their_own_queues() {
    let market = Market::open(production().await.without_workers(), 10, 3).await;
    let waiting = buy(&market, 0).await;
    let payments = market.start_worker(&["--queues", "payments=4,sandbox,reservations"]);
    market.checkout_when(&market.buyers[0], &waiting, |seen| seen["status"] == "CONFIRMED").await;
    assert_eq!(market.letters(&address_of(0), "Subject"), 0, "no worker has the queue `mail` yet");
    let mail = market.start_worker(&["--queues", "mail"]);
    is_confirmed_once(&market, 0, &waiting).await;
    let quick = Instant::now();
    let next = buy(&market, 1).await;
    is_confirmed_once(&market, 1, &next).await;
    // Tasks are announced by messages, so no step waits for the next poll.
    assert!(quick.elapsed() < Duration::from_secs(10), "{:?}", quick.elapsed());
    assert!(mail.stop().await.success());
    assert!(payments.stop().await.success());
}

#[tokio::test]
async fn the_tasks_of_a_killed_worker_are_done_by_another() {
    let market = Market::open(production().await.without_workers(), 40, 20).await;
    let mut bought = Vec::new();
    let mut worker = market.start_worker(&[]);
    for buyer in 0..20 {
        bought.push(buy(&market, buyer).await);
        if buyer % 5 == 4 {
            worker.kill();
            worker = market.start_worker(&[]);
        }
    }
    for (buyer, checkout) in bought.iter().enumerate() {
        is_confirmed_once(&market, buyer, checkout).await;
    }
    assert_eq!(market.stock().await, (20, 0, 20));
}

#[tokio::test]
async fn two_servers_on_one_database_inform_each_other() {
    let market = Market::open(production().await, 10, 2).await;
    // The second server has another data folder, so the webhook secret is set explicitly, as in production.
    let secret = "a secret that both servers know";
    let setup = market.same_again().in_folder(&Folder::new()).with("SMALLRUN_SANDBOX_WEBHOOK_SECRET", secret);
    let other = crate::shop::harness::Server::start(setup).await;
    let token = Some(market.buyers[0].as_str());
    let checkout = market.reserve(&market.buyers[0]).await;
    let seen = other
        .graphql(token, "query($id: ID!) { checkout(id: $id) { status } }", json!({ "id": checkout }))
        .await;
    assert_eq!(seen["checkout"]["status"], "HELD");
}

#[test]
fn combinations_that_would_lose_work_are_refused() {
    let folder = Folder::new();
    let refused = |words: &[&str], bus: Option<&str>, code: i32, what: &str| {
        let mut command = crate::shop::harness::smallrun();
        command.args(words).arg("--data").arg(folder.path());
        if let Some(bus) = bus {
            command.env("SMALLRUN_BUS_URL", bus);
        }
        let ended = Ended::of(&mut command);
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(ended.code == Some(code) && last.starts_with("error: ") && last.contains(what), "{ended:#?}");
    };
    let rabbit = Some("amqp://guest:hunter-two@127.0.0.1:5672/shop");
    refused(&["serve"], rabbit, 78, "RabbitMQ cannot be used with SQLite");
    refused(&["work"], rabbit, 78, "RabbitMQ cannot be used with SQLite");
    refused(&["work"], None, 2, "the server runs the workers itself");
    refused(&["serve", "--no-workers"], None, 2, "no other process can run the workers");
    for (queues, what) in [
        ("post", "there is no queue `post`"),
        ("mail=0", "is not a number of tasks"),
        ("mail=many", "is not a number"),
    ] {
        let ended = Ended::of(crate::shop::harness::smallrun().args(["work", "--queues", queues]));
        assert!(ended.code == Some(2) && ended.stderr.contains(what), "{ended:#?}");
    }
}

#[tokio::test]
async fn an_encrypted_broker_is_trusted_only_through_its_authority() {
    let setup = production().await;
    let (url, authority) = setup.broker().encrypted();
    let setup = setup.with("SMALLRUN_BUS_URL", url);
    let bus = async |market: &Server| {
        let answer = market.client().get(market.at("/readyz")).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["checks"]["bus"].clone()
    };
    let patience = Instant::now();
    let distrusting = Server::start(setup.clone()).await;
    while !distrusting.log().contains("UnknownIssuer") {
        assert!(patience.elapsed() < SOON, "{}", distrusting.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_ne!(bus(&distrusting).await, "ok");
    assert!(distrusting.stop().await.0.success());
    let market =
        Market::open(setup.with("SMALLRUN_BUS_CA_FILE", authority.to_str().unwrap()).without_workers(), 1, 1)
            .await;
    while bus(&market).await != "ok" {
        assert!(patience.elapsed() < SOON, "{}", market.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let worker = market.start_worker(&[]);
    let checkout = buy(&market, 0).await;
    is_confirmed_once(&market, 0, &checkout).await;
    assert!(worker.stop().await.success());
}

/// A private broker, which the test can stop.
struct Broker {
    folder: Arc<Folder>,
    url: String,
}

impl Broker {
    fn start() -> Self {
        let folder = Folder::new();
        let url = Self::up(folder.path());
        Self { folder, url }
    }

    fn script(folder: &Path, words: &[&str]) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/rabbitmq");
        let (action, rest) = words.split_first().unwrap();
        let ended = Ended::of(Command::new(script).arg(action).arg(folder.join("broker")).args(rest));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        ended.stdout
    }

    fn up(folder: &Path) -> String {
        let said = Self::script(folder, &["start"]);
        said.lines().find_map(|line| line.strip_prefix("amqp=")).unwrap().to_owned()
    }

    fn stop(&self) {
        Self::script(self.folder.path(), &["stop"]);
    }

    fn start_again(&self) {
        Self::up(self.folder.path());
    }

    fn watermark(&self, of_memory: &str) {
        Self::script(self.folder.path(), &["ctl", "set_vm_memory_high_watermark", of_memory]);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Lets buyers buy one after the other for `time`, and adds a checkout per buyer to `bought`.
async fn buy_for(market: &Market, bought: &mut Vec<String>, time: Duration) {
    let began = Instant::now();
    let before = bought.len();
    while began.elapsed() < time && bought.len() < market.buyers.len() {
        let asked = Instant::now();
        bought.push(buy(market, bought.len()).await);
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "a buyer waited {:?} for a broker",
            asked.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(bought.len() > before, "nothing was bought in {time:?}");
}

#[tokio::test]
async fn reservations_go_on_while_the_broker_is_gone_or_short_of_memory_and_nothing_is_lost_or_doubled() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let setup = Setup::empty().on_postgres().await.with("SMALLRUN_BUS_URL", &broker.url);
    let market = Market::open(setup.without_workers(), 600, 400).await;
    let _worker = market.start_worker(&[]);
    let mut bought = Vec::new();
    buy_for(&market, &mut bought, Duration::from_secs(3)).await;
    broker.stop();
    let away = Instant::now();
    buy_for(&market, &mut bought, Duration::from_secs(10)).await;
    // Meanwhile, workers poll for their work.
    let last = bought.len() - 1;
    is_confirmed_once(&market, last, &bought[last]).await;
    buy_for(&market, &mut bought, GONE.saturating_sub(away.elapsed())).await;
    broker.start_again();
    buy_for(&market, &mut bought, Duration::from_secs(5)).await;
    broker.watermark("0.0000001");
    buy_for(&market, &mut bought, SHORT).await;
    broker.watermark("0.4");
    buy_for(&market, &mut bought, Duration::from_secs(3)).await;
    for (buyer, checkout) in bought.iter().enumerate() {
        is_confirmed_once(&market, buyer, checkout).await;
    }
    assert_eq!(market.stock().await, (600 - bought.len(), 0, bought.len()));
}
