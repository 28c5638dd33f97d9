//! Measures the path of a fact: from its commit to another process that receives it, and to the task that
//! follows from it. Both buses are measured, next to the rate at which the broker confirms messages in the
//! same run.
//!
//! Run it with `scripts/with-servers --durable cargo run --profile dist -p bench-bus`. The load runs on the
//! same processors.
//!
//! - *relayed*: the rate for a backlog of facts, from the start of a relay until another process has received
//!   the last
//! - *received*: the time from commit to reception, at a steady rate
//! - *done*: the rate of tasks that follow from a backlog of facts, and the time from commit to done at a
//!   steady rate

#![expect(clippy::expect_used, reason = "a failed measurement ends the program")]

mod broker;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::platform::{
    Db,
    access::Actor,
    clock::SystemClock,
    connect,
    entropy::SystemEntropy,
    facts::Fact,
    ids::{AccountId, CheckoutId},
    in_tx,
    mail::SendMail,
    outbox::{self, Stamped},
    projections::{FactBatch, Projection, ProjectionError},
    tasks::{Attempt, Queue, Task, TaskError, TaskKinds},
};
use domain::reservations::{DeskActivity, letters::HeldLetter};
use serde::{Deserialize, Serialize};
use testkit::{TestBroker, TestDb};
use tokio::{
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        watch,
    },
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{
    announce,
    bus::{Bus, BusState, embedded::EmbeddedBus, rabbit::RabbitBus},
    projections, relay,
    run::{QueueWorker, StopSignal},
};

const ACTOR: Actor = Actor::System("bench");
/// The backlog of facts for the relay.
const BACKLOG: u128 = 20_000;
/// The backlog of tasks for a worker.
const TASKS: u128 = 3_000;
/// The number of facts that are committed one by one, and the time between two.
const STEADY: u128 = 1_000;
const EVERY: Duration = Duration::from_millis(5);
/// The number of concurrent tasks. The server sends four letters at a time; this measures the limit of the
/// machinery.
const CONCURRENCY: usize = 32;

fn main() {
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be started");
    runtime.block_on(async {
        println!("Embedded, on SQLite");
        let store = TestDb::sqlite().await;
        let db = open(&store).await;
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(db.clone()));
        measure(&[(db.clone(), Arc::clone(&bus)), (db, bus)]).await;

        println!("\nRabbitMQ, on PostgreSQL, two processes' worth of connections");
        let (store, broker) = (TestDb::postgres().await, TestBroker::new().await);
        let floor = broker::confirmed_per_second(broker.url(), Duration::from_secs(5))
            .await
            .expect("the broker confirms");
        println!("  the broker confirms           {floor:>9.0}/s  (one publisher, quorum queue, window 512)");
        let mut processes = Vec::new();
        for _ in 0..2 {
            let db = open(&store).await;
            let bus = RabbitBus::start(&db, broker.url().parse().expect("a URL"), None);
            while bus.state() != BusState::Up {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let bus: Arc<dyn Bus> = Arc::new(bus);
            processes.push((db, bus));
        }
        let relayed = measure(&processes).await;
        println!("  facts relayed per message that the broker confirms: {:.2}", relayed / floor);
    });
}

async fn open(store: &TestDb) -> Db {
    connect(store.url(), 16, Arc::new(SystemClock), Arc::new(SystemEntropy))
        .await
        .expect("a new database can be opened")
}

/// Measures everything on two processes. Returns the number of facts relayed per second.
async fn measure(processes: &[(Db, Arc<dyn Bus>)]) -> f64 {
    let [(here, to), (there, from)] = processes else { return 0.0 };
    let mut heard = Heard::start(there, from).await;
    for first in (0..BACKLOG).step_by(1_000) {
        publish(here, (first..first.saturating_add(1_000)).map(changed)).await;
    }
    let began = Instant::now();
    let running = Running::start(here, to);
    for _ in 0..BACKLOG {
        heard.next().await;
    }
    let relayed = rate(BACKLOG, began.elapsed());
    println!("  facts relayed                 {relayed:>9.0}/s  ({BACKLOG} waiting)");

    let sent = Times::default();
    let writer = steady(here.clone(), sent.clone(), changed);
    let mut delays = Vec::new();
    for _ in 0..STEADY {
        if let Fact::AccountChanged { account } = heard.next().await.fact {
            delays.extend(sent.since(account.0.as_u128()));
        }
    }
    writer.await.expect("the writer does not panic");
    say("from commit to received", &mut delays);

    let (worker, done) = start_worker(there, from);
    let began = Instant::now();
    for first in (0..TASKS).step_by(1_000) {
        publish(here, (first..first.saturating_add(1_000)).map(reserved)).await;
    }
    done.until(TASKS).await;
    println!("  following tasks done          {:>9.0}/s  ({TASKS} at once)", rate(TASKS, began.elapsed()));
    done.forget();
    let sent = Times::default();
    let writer = steady(here.clone(), sent.clone(), reserved);
    done.until(STEADY).await;
    writer.await.expect("the writer does not panic");
    let mut delays: Vec<Duration> =
        done.taken().into_iter().filter_map(|(number, at)| sent.until(number, at)).collect();
    say("from commit to done", &mut delays);
    worker.claiming.cancel();
    heard.following.abort();
    running.end().await;
    relayed
}

/// Passes on the facts that a process receives, through the loop that runs projections.
struct Heard {
    facts: UnboundedReceiver<Arc<Stamped>>,
    following: JoinHandle<()>,
}

impl Heard {
    /// Starts at the newest fact.
    async fn start(db: &Db, bus: &Arc<dyn Bus>) -> Self {
        let (sender, facts) = unbounded_channel();
        let projection = Arc::new(HeardProjection { facts: sender, position: watch::Sender::new(None) });
        let mut position = projection.position.subscribe();
        let following =
            tokio::spawn(projections::run(db.clone(), Arc::clone(bus), projection, CancellationToken::new()));
        position.wait_for(Option::is_some).await.expect("the projection runs");
        Self { facts, following }
    }

    async fn next(&mut self) -> Arc<Stamped> {
        self.facts.recv().await.expect("the projection runs")
    }
}

struct HeardProjection {
    facts: UnboundedSender<Arc<Stamped>>,
    position: watch::Sender<Option<i64>>,
}

#[async_trait]
impl Projection for HeardProjection {
    fn name(&self) -> &'static str {
        "bench"
    }

    async fn position(&self) -> Result<Option<i64>, ProjectionError> {
        Ok(*self.position.borrow())
    }

    async fn apply(&self, batch: &FactBatch) -> Result<(), ProjectionError> {
        for stamped in &batch.facts {
            let _measured = self.facts.send(Arc::clone(stamped));
        }
        self.position.send_replace(Some(batch.position));
        Ok(())
    }

    async fn rebuild(&self, position: i64) -> Result<(), ProjectionError> {
        self.position.send_replace(Some(position));
        Ok(())
    }
}

/// The relay of a process, and the loop that announces its tasks.
struct Running {
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl Running {
    fn start(db: &Db, bus: &Arc<dyn Bus>) -> Self {
        let stop = CancellationToken::new();
        let relaying =
            tokio::spawn(relay::run(db.clone(), Arc::clone(bus), DeskActivity::default(), stop.clone()));
        let announcing = tokio::spawn(announce::run(db.clone(), Arc::clone(bus), stop.clone()));
        Self { stop, loops: vec![relaying, announcing] }
    }

    async fn end(self) {
        self.stop.cancel();
        for running in self.loops {
            running.await.expect("the loop does not panic");
        }
    }
}

fn changed(number: u128) -> Fact {
    Fact::AccountChanged { account: AccountId(Uuid::from_u128(number)) }
}

fn reserved(number: u128) -> Fact {
    Fact::Reserved { checkout: CheckoutId(Uuid::from_u128(number)) }
}

async fn publish(db: &Db, facts: impl Iterator<Item = Fact>) {
    let facts: Vec<_> = facts.map(|fact| (1, fact)).collect();
    in_tx(db, ACTOR, async |tx| outbox::publish_all(tx, &facts).await).await.expect("facts can be written");
}

/// Commits one fact after the other at a steady rate, and records the times.
fn steady(db: Db, sent: Times, fact: fn(u128) -> Fact) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(EVERY);
        for number in 0..STEADY {
            tick.tick().await;
            publish(&db, std::iter::once(fact(number))).await;
            sent.note(number);
        }
    })
}

/// The times of numbered events.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<HashMap<u128, Instant>>>);

impl Times {
    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, number: u128) {
        self.locked().insert(number, Instant::now());
    }

    /// Returns the time since an event, or zero if it was received before its writer had recorded its commit.
    fn since(&self, number: u128) -> Option<Duration> {
        Some(self.locked().get(&number).map_or(Duration::ZERO, Instant::elapsed))
    }

    fn until(&self, number: u128, at: Instant) -> Option<Duration> {
        self.locked().get(&number).map(|sent| at.saturating_duration_since(*sent))
    }

    async fn until_count(&self, count: u128) {
        while u128::try_from(self.locked().len()).unwrap_or(0) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Does nothing but record the time.
#[derive(Clone, Default)]
struct Done(Times);

impl Done {
    async fn until(&self, count: u128) {
        self.0.until_count(count).await;
    }

    fn forget(&self) {
        self.0.locked().clear();
    }

    fn taken(&self) -> HashMap<u128, Instant> {
        std::mem::take(&mut *self.0.locked())
    }
}

/// Replaces the task that sends the letter about a hold: it only records that it runs.
#[derive(Serialize, Deserialize)]
struct NoteMail {
    letter: HeldLetter,
}

impl Task for NoteMail {
    type Context = Done;

    const KIND: &'static str = SendMail::KIND;
    const QUEUE: Queue = SendMail::QUEUE;
    const REASON: &'static str = "bench";

    fn subject(&self) -> String {
        self.letter.checkout.to_string()
    }

    async fn run(self, _: &Attempt, done: &Done) -> Result<(), TaskError> {
        done.0.note(self.letter.checkout.0.as_u128());
        Ok(())
    }
}

fn start_worker(db: &Db, bus: &Arc<dyn Bus>) -> (StopSignal, Done) {
    let (done, stop) = (Done::default(), StopSignal::default());
    let worker = QueueWorker {
        db: db.clone(),
        desk: DeskActivity::default(),
        bus: Arc::clone(bus),
        queue: Queue::Mail,
        concurrency: CONCURRENCY,
        task_time_max: Duration::from_secs(30),
        kinds: TaskKinds::default().with::<NoteMail>(done.clone()),
    };
    tokio::spawn(worker.run(stop.clone()));
    (stop, done)
}

fn rate(count: u128, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

fn say(what: &str, delays: &mut [Duration]) {
    delays.sort_unstable();
    let at = |percent: usize| {
        let place = delays
            .len()
            .saturating_mul(percent)
            .checked_div(100)
            .unwrap_or(0)
            .min(delays.len().saturating_sub(1));
        delays.get(place).map_or(0.0, |delay| delay.as_secs_f64() * 1_000.0)
    };
    let per_second = 1_000_u128.checked_div(EVERY.as_millis()).unwrap_or(0);
    println!("  {what:<28} p50 {:>6.1} ms, p99 {:>6.1} ms  ({per_second}/s)", at(50), at(99));
}
