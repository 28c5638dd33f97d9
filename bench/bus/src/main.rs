//! Measures the path of a fact: from its commit to another process that receives it, and to the task that
//! follows from it. Both buses are measured. As a baseline, the same run measures how many messages a second
//! the broker confirms.
//!
//! Run it with `scripts/with-servers --durable cargo run --profile dist -p bench-bus`. The load runs on the
//! same processors.
//!
//! - *relayed*: the rate for a backlog of facts, from the start of a relay until another process has received
//!   the last fact
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
/// The number of facts that are committed one by one, at a steady rate.
const STEADY: u128 = 1_000;
/// The time between two of these facts.
const EVERY: Duration = Duration::from_millis(5);
/// The number of concurrent tasks. A server sends only four letters at a time; more are allowed here, to find
/// the limit of the queue and the bus.
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

        println!("\nRabbitMQ, on PostgreSQL, with the connections of two processes");
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
        println!("  facts relayed, divided by messages confirmed: {:.2}", relayed / floor);
    });
}

async fn open(store: &TestDb) -> Db {
    connect(store.url(), 16, Arc::new(SystemClock), Arc::new(SystemEntropy))
        .await
        .expect("a new database can be opened")
}

/// Measures everything on two processes. Returns the number of facts relayed per second.
async fn measure(processes: &[(Db, Arc<dyn Bus>)]) -> f64 {
    let [(sender, sender_bus), (receiver, receiver_bus)] = processes else { return 0.0 };
    let mut received = ReceivedFacts::start(receiver, receiver_bus).await;
    for first in (0..BACKLOG).step_by(1_000) {
        publish(sender, (first..first.saturating_add(1_000)).map(account_changed)).await;
    }
    let began = Instant::now();
    let relay = RelayLoops::start(sender, sender_bus);
    for _ in 0..BACKLOG {
        received.next().await;
    }
    let relayed = rate(BACKLOG, began.elapsed());
    println!("  facts relayed                 {relayed:>9.0}/s  ({BACKLOG} waiting)");

    let sent = Times::default();
    let writer = steady(sender.clone(), sent.clone(), account_changed);
    let mut delays = Vec::new();
    for _ in 0..STEADY {
        if let Fact::AccountChanged { account } = received.next().await.fact {
            delays.extend(sent.since(account.0.as_u128()));
        }
    }
    writer.await.expect("the writer does not panic");
    print_percentiles("from commit to received", &mut delays);

    let (worker, done) = start_worker(receiver, receiver_bus);
    let began = Instant::now();
    for first in (0..TASKS).step_by(1_000) {
        publish(sender, (first..first.saturating_add(1_000)).map(reserved)).await;
    }
    done.wait_for(TASKS).await;
    println!("  tasks done                    {:>9.0}/s  ({TASKS} facts)", rate(TASKS, began.elapsed()));
    done.clear();
    let sent = Times::default();
    let writer = steady(sender.clone(), sent.clone(), reserved);
    done.wait_for(STEADY).await;
    writer.await.expect("the writer does not panic");
    let mut delays: Vec<Duration> =
        done.take().into_iter().filter_map(|(number, at)| sent.elapsed_until(number, at)).collect();
    print_percentiles("from commit to done", &mut delays);
    worker.claiming.cancel();
    received.projection_loop.abort();
    relay.end().await;
    relayed
}

/// The facts that a process receives, in order. They come from a projection, which forwards each fact.
struct ReceivedFacts {
    facts: UnboundedReceiver<Arc<Stamped>>,
    projection_loop: JoinHandle<()>,
}

impl ReceivedFacts {
    /// Starts at the newest fact.
    async fn start(db: &Db, bus: &Arc<dyn Bus>) -> Self {
        let (sender, facts) = unbounded_channel();
        let projection = Arc::new(ForwardingProjection { facts: sender, position: watch::Sender::new(None) });
        let mut position = projection.position.subscribe();
        let projection_loop =
            tokio::spawn(projections::run(db.clone(), Arc::clone(bus), projection, CancellationToken::new()));
        position.wait_for(Option::is_some).await.expect("the projection runs");
        Self { facts, projection_loop }
    }

    async fn next(&mut self) -> Arc<Stamped> {
        self.facts.recv().await.expect("the projection runs")
    }
}

struct ForwardingProjection {
    facts: UnboundedSender<Arc<Stamped>>,
    position: watch::Sender<Option<i64>>,
}

#[async_trait]
impl Projection for ForwardingProjection {
    fn name(&self) -> &'static str {
        "bench"
    }

    async fn position(&self) -> Result<Option<i64>, ProjectionError> {
        Ok(*self.position.borrow())
    }

    async fn apply(&self, batch: &FactBatch) -> Result<(), ProjectionError> {
        for stamped in &batch.facts {
            // The receiver is gone when the measurement is over.
            let _not_received = self.facts.send(Arc::clone(stamped));
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
struct RelayLoops {
    stop: CancellationToken,
    loops: Vec<JoinHandle<()>>,
}

impl RelayLoops {
    fn start(db: &Db, bus: &Arc<dyn Bus>) -> Self {
        let stop = CancellationToken::new();
        let relaying =
            tokio::spawn(relay::run(db.clone(), Arc::clone(bus), DeskActivity::default(), stop.clone()));
        let announcing = tokio::spawn(announce::run(db.clone(), Arc::clone(bus), stop.clone()));
        Self { stop, loops: vec![relaying, announcing] }
    }

    async fn end(self) {
        self.stop.cancel();
        for handle in self.loops {
            handle.await.expect("the loop does not panic");
        }
    }
}

fn account_changed(number: u128) -> Fact {
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
            sent.record(number);
        }
    })
}

/// The times at which numbered events happened.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<HashMap<u128, Instant>>>);

impl Times {
    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, number: u128) {
        self.locked().insert(number, Instant::now());
    }

    /// Returns the time since an event, or zero if it was not recorded yet: a fact may be received before its
    /// writer has recorded the commit.
    fn since(&self, number: u128) -> Option<Duration> {
        Some(self.locked().get(&number).map_or(Duration::ZERO, Instant::elapsed))
    }

    /// Returns the time from an event until `at`, or `None` if the event was not recorded.
    fn elapsed_until(&self, number: u128, at: Instant) -> Option<Duration> {
        self.locked().get(&number).map(|sent| at.saturating_duration_since(*sent))
    }

    async fn wait_for_count(&self, count: u128) {
        while u128::try_from(self.locked().len()).unwrap_or(0) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The times at which tasks ran, by the number in their checkout's id.
#[derive(Clone, Default)]
struct TaskTimes(Times);

impl TaskTimes {
    async fn wait_for(&self, count: u128) {
        self.0.wait_for_count(count).await;
    }

    fn clear(&self) {
        self.0.locked().clear();
    }

    fn take(&self) -> HashMap<u128, Instant> {
        std::mem::take(&mut *self.0.locked())
    }
}

/// A task with the kind and the payload of [`SendMail`] for the letter about a hold. It only records when it
/// runs.
#[derive(Serialize, Deserialize)]
struct RecordMail {
    letter: HeldLetter,
}

impl Task for RecordMail {
    type Context = TaskTimes;

    const KIND: &'static str = SendMail::KIND;
    const QUEUE: Queue = SendMail::QUEUE;
    const REASON: &'static str = "bench";

    fn subject(&self) -> String {
        self.letter.checkout.to_string()
    }

    async fn run(self, _: &Attempt, done: &TaskTimes) -> Result<(), TaskError> {
        done.0.record(self.letter.checkout.0.as_u128());
        Ok(())
    }
}

fn start_worker(db: &Db, bus: &Arc<dyn Bus>) -> (StopSignal, TaskTimes) {
    let (done, stop) = (TaskTimes::default(), StopSignal::default());
    let worker = QueueWorker {
        db: db.clone(),
        desk: DeskActivity::default(),
        bus: Arc::clone(bus),
        queue: Queue::Mail,
        concurrency: CONCURRENCY,
        task_time_max: Duration::from_secs(30),
        kinds: TaskKinds::default().with::<RecordMail>(done.clone()),
    };
    tokio::spawn(worker.run(stop.clone()));
    (stop, done)
}

fn rate(count: u128, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

fn print_percentiles(what: &str, delays: &mut [Duration]) {
    delays.sort_unstable();
    let at = |percent: usize| {
        let index = delays
            .len()
            .saturating_mul(percent)
            .checked_div(100)
            .unwrap_or(0)
            .min(delays.len().saturating_sub(1));
        delays.get(index).map_or(0.0, |delay| delay.as_secs_f64() * 1_000.0)
    };
    let per_second = 1_000_u128.checked_div(EVERY.as_millis()).unwrap_or(0);
    println!("  {what:<28} p50 {:>6.1} ms, p99 {:>6.1} ms  ({per_second}/s)", at(50), at(99));
}
