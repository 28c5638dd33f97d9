//! The crash loop: processes are killed at random moments under load, and the invariants are checked after
//! each kill. `scripts/crash-loop` runs it for longer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use domain::platform::entropy::{Entropy, SystemEntropy};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::shop::{
    books,
    harness::{Setup, Worker},
    market::{Market, address_of, drop_input, id, mutation, new_key, paying},
};

/// The number of kills, unless [`KILLS_VARIABLE`] is set.
const KILLS: u32 = 10;
const KILLS_VARIABLE: &str = "SMALLRUN_TEST_KILLS";
/// The progress is printed after this many kills.
const TOLD_EVERY: u32 = 20;
/// The number of buyers, who continue whatever happens.
const BUYERS: usize = 12;
/// The number of units, more than can be sold during the test.
const UNITS: usize = 100_000;
const UNITS_PER_BUYER: u32 = 1_000;
/// The longest time from the start of a process to its kill, in milliseconds.
const LIFE_MILLIS_MAX: u64 = 1_500;
/// How long to wait until no work is left. Tasks of a killed process are taken over when their lease expires.
const PEACE_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn embedded_crash_loop_keeps_the_books() {
    let setup = Setup::empty().with("SMALLRUN_GATEWAY_CALLS_PER_SECOND", "10000");
    run(Market::open(setup, UNITS, BUYERS).await, Target::Server).await;
}

#[tokio::test]
async fn production_crash_loop_keeps_the_books() {
    let setup =
        Setup::empty().on_postgres_and_rabbitmq().await.with("SMALLRUN_GATEWAY_CALLS_PER_SECOND", "10000");
    run(Market::open(setup.without_workers(), UNITS, BUYERS).await, Target::ServerOrWorker).await;
}

/// The processes that can be killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Server,
    ServerOrWorker,
}

fn random(below: u64) -> u64 {
    let mut bytes = [0_u8; 8];
    SystemEntropy.fill(&mut bytes);
    u64::from_le_bytes(bytes) % below
}

/// The responses that buyers got, which must remain true.
#[derive(Default)]
struct Promises {
    /// The buyer of each checkout.
    checkouts: BTreeMap<String, usize>,
    /// The checkouts that their buyer has cancelled successfully.
    cancelled: BTreeSet<String>,
    answers: u32,
}

/// The state that all buyers share while processes are restarted.
struct World {
    url: Mutex<String>,
    going: AtomicBool,
    promises: Mutex<Promises>,
    unanswered: AtomicU32,
}

async fn run(mut market: Market, target: Target) {
    open_to_all(&mut market).await;
    let kills: u32 = std::env::var(KILLS_VARIABLE).ok().map_or(KILLS, |kills| kills.parse().unwrap());
    let mut workers: Vec<Worker> = Vec::new();
    if target == Target::ServerOrWorker {
        workers.extend((0..2).map(|_| market.start_worker(&[])));
    }
    let world = Arc::new(World {
        url: Mutex::new(market.at("/graphql")),
        going: AtomicBool::new(true),
        promises: Mutex::default(),
        unanswered: AtomicU32::new(0),
    });
    let (began, mut waited) = (Instant::now(), Duration::ZERO);
    for kill in 1..=kills {
        world.going.store(true, Ordering::Relaxed);
        let mut buyers = JoinSet::new();
        for buyer in 0..BUYERS {
            let inputs = Inputs {
                token: market.buyers[buyer].clone(),
                item: market.item.clone(),
                reserving: market.reserving(&market.item, "KEY"),
            };
            buyers.spawn(buy(Arc::clone(&world), buyer, inputs));
        }
        tokio::time::sleep(Duration::from_millis(random(LIFE_MILLIS_MAX))).await;
        let of_workers = !workers.is_empty() && random(2) == 0;
        if of_workers {
            let victim = usize::try_from(random(u64::try_from(workers.len()).unwrap())).unwrap();
            workers.swap_remove(victim).kill();
            workers.push(market.start_worker(&[]));
        } else {
            market = market.after_a_power_cut().await;
            *world.url.lock().unwrap() = market.at("/graphql");
        }
        tokio::time::sleep(Duration::from_millis(random(300))).await;
        world.going.store(false, Ordering::Relaxed);
        while let Some(ended) = buyers.join_next().await {
            ended.unwrap();
        }
        let asked = Instant::now();
        let books = books::when_at_peace(&market.database_url(), PEACE_WITHIN).await;
        waited = waited.max(asked.elapsed());
        let complaints = books.complaints();
        assert!(complaints.is_empty(), "after kill {kill}: {complaints:#?}\n{}", market.log());
        promises_are_kept(&world, &books);
        if kill % TOLD_EVERY == 0 {
            let answers = world.promises.lock().unwrap().answers;
            println!("{kill} of {kills} kills after {:.0?}, {answers} answers", began.elapsed());
        }
    }
    letters_went_out_once(&market).await;
    let promises = world.promises.lock().unwrap();
    println!(
        "{kills} kills in {:?}: {} answers, {} checkouts, {} failed requests; all work was done after \
         at most {waited:?}",
        began.elapsed(),
        promises.answers,
        promises.checkouts.len(),
        world.unanswered.load(Ordering::Relaxed),
    );
    assert!(!promises.checkouts.is_empty(), "nothing was bought");
}

/// Opens a drop with many units and a high limit per person.
async fn open_to_all(market: &mut Market) {
    let drop =
        market.done(&market.owner, "dropCreate", "drop { id }", drop_input(&market.creator, "For all")).await;
    market.drop = id(&drop["drop"]);
    let tiers = json!([{ "price": "48.00" }]);
    let input = json!({
        "dropId": market.drop, "variantId": market.variant, "units": UNITS, "perBuyerMax": UNITS_PER_BUYER,
        "tiers": tiers,
    });
    market.item = id(&market.done(&market.owner, "dropItemAdd", "item { id }", input).await["item"]);
    market.done(&market.owner, "dropPublish", "drop { phase }", json!({ "id": market.drop })).await;
}

struct Inputs {
    token: String,
    item: String,
    reserving: Value,
}

/// Acts as one buyer, who reserves, pays with some method or cancels, and retries with the same key if there
/// was no response.
async fn buy(world: Arc<World>, buyer: usize, inputs: Inputs) {
    while world.going.load(Ordering::Relaxed) {
        let mut input = inputs.reserving.clone();
        input["idempotencyKey"] = json!(format!("{}-{buyer}", new_key()));
        let reserve = mutation("checkoutReserve", "checkout { id reservations { id } }");
        let Some(payload) = world.ask(&inputs.token, "checkoutReserve", &reserve, &input).await else {
            return;
        };
        if payload["errors"][0]["code"] == "TOO_MANY_HOLDS" {
            if world.give_up_all(buyer, &inputs.token).await.is_none() {
                return;
            }
            continue;
        }
        if payload["checkout"].is_null() {
            // The limit per buyer is reached, until a reservation lapses or is cancelled.
            assert_eq!(payload["errors"][0]["code"], "LIMIT_EXCEEDED", "{payload:#} for {}", inputs.item);
            return;
        }
        let (checkout, reservation) = (id(&payload["checkout"]), id(&payload["checkout"]["reservations"][0]));
        world.promises.lock().unwrap().checkouts.insert(checkout.clone(), buyer);
        let method = match random(6) {
            0 | 1 => "pm_sandbox_success",
            2 => "pm_sandbox_declined",
            3 => {
                let input = json!({
                    "reservationId": reservation, "idempotencyKey": format!("{}-{buyer}", new_key()),
                });
                let cancel = mutation("reservationCancel", "checkout { id }");
                let Some(payload) = world.ask(&inputs.token, "reservationCancel", &cancel, &input).await
                else {
                    return;
                };
                assert_eq!(payload["errors"], json!([]), "{payload:#}");
                world.promises.lock().unwrap().cancelled.insert(checkout);
                continue;
            }
            _ => continue,
        };
        let input = paying(&checkout, method, &format!("{}-{buyer}", new_key()));
        let pay = mutation("checkoutPay", "payment { id }");
        let Some(payload) = world.ask(&inputs.token, "checkoutPay", &pay, &input).await else { return };
        assert_eq!(payload["errors"], json!([]), "{payload:#}");
    }
}

impl World {
    /// Sends a request until there is a response. Returns `None` if the round ends first.
    async fn ask(&self, token: &str, name: &str, query: &str, input: &Value) -> Option<Value> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(15)).build().unwrap();
        let patience = Instant::now();
        loop {
            let url = self.url.lock().unwrap().clone();
            let request = client
                .post(url)
                .bearer_auth(token)
                .json(&json!({ "query": query, "variables": { "input": input } }));
            let answer = async { request.send().await?.json::<Value>().await };
            match answer.await {
                Ok(body) if body.get("errors").is_none() => {
                    self.promises.lock().unwrap().answers += 1;
                    return Some(body["data"][name].clone());
                }
                // A process was killed: the connection broke, or the server ended during the request.
                Ok(_) | Err(_) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                }
            }
            if !self.going.load(Ordering::Relaxed) || patience.elapsed() > PEACE_WITHIN {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The query for the checkouts of a buyer.
const HELD: &str = "query { checkouts(first: 100) { nodes { id status reservations { id } } } }";

impl World {
    /// Cancels all unpaid checkouts of a buyer, except those with a payment in processing. Returns `None` if
    /// the round ends first.
    async fn give_up_all(&self, buyer: usize, token: &str) -> Option<()> {
        let seen = self.ask(token, "checkouts", HELD, &json!({})).await?;
        for checkout in
            seen["nodes"].as_array().unwrap().iter().filter(|checkout| checkout["status"] == "HELD")
        {
            let input = json!({
                "reservationId": checkout["reservations"][0]["id"],
                "idempotencyKey": format!("{}-{buyer}", new_key()),
            });
            let payload = self
                .ask(token, "reservationCancel", &mutation("reservationCancel", "checkout { id }"), &input)
                .await?;
            if payload["errors"] == json!([]) {
                self.promises.lock().unwrap().cancelled.insert(id(checkout));
            }
        }
        Some(())
    }
}

/// Checks invariant I10: every checkout in a response exists.
fn promises_are_kept(world: &World, books: &books::Books) {
    let promises = world.promises.lock().unwrap();
    for checkout in promises.checkouts.keys() {
        assert!(books.checkouts.contains_key(checkout), "{checkout} was promised");
    }
    for checkout in &promises.cancelled {
        // If the payment came before the cancellation, the money is refunded.
        let state = books.checkouts.get(checkout).map(String::as_str);
        assert!(matches!(state, Some("CANCELLED" | "REFUNDED")), "{checkout} was given up, and is {state:?}");
    }
}

/// Checks that exactly one letter was sent for each confirmation.
async fn letters_went_out_once(market: &Market) {
    let books = books::when_at_peace(&market.database_url(), PEACE_WITHIN).await;
    let mut letters = 0;
    for buyer in 0..BUYERS {
        letters += market.letters(&address_of(buyer), "Subject: Your reservation is confirmed");
    }
    let confirmed =
        books.checkouts.values().filter(|state| *state == "CONFIRMED" || *state == "REFUNDED").count();
    assert_eq!(letters, confirmed, "letters of confirmation");
}
