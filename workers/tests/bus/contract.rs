//! The contract: tests that every bus must pass.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use chrono::TimeDelta;
use domain::{
    platform::{
        Db,
        access::Actor,
        facts::Fact,
        ids::AccountId,
        in_tx, outbox,
        tasks::{self, NewTask, Queue, TaskKinds},
    },
    registry,
    reservations::DeskActivity,
};
use sea_orm::{ConnectionTrait, DbErr};
use testkit::{Listener, Numbered, RecordingProjection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{
    announce,
    bus::Bus,
    projections, relay,
    run::{QueueWorker, StopSignal},
};

use crate::bus::Fixture;

const ACTOR: Actor = Actor::System("test");

/// Records the tasks that it was given.
#[derive(Default)]
struct Recorder(Mutex<Vec<u64>>);

fn numbered(number: u64) -> NewTask {
    NewTask::from(Numbered { number })
}

async fn enqueue(db: &Db, task: NewTask) {
    in_tx(db, ACTOR, async |tx| tasks::enqueue(tx, task).await).await.unwrap();
}

async fn publish(db: &Db, numbers: std::ops::Range<u128>) {
    let facts: Vec<_> = numbers
        .map(|number| (1, Fact::AccountChanged { account: AccountId(Uuid::from_u128(number)) }))
        .collect();
    in_tx(db, ACTOR, async |tx| outbox::publish_all(tx, &facts).await).await.unwrap();
}

/// Stamps all facts without broadcasting them.
async fn stamp_silently(db: &Db) {
    in_tx(db, ACTOR, async |tx| {
        let fence = outbox::lease(tx, Uuid::from_u128(1))
            .await?
            .ok_or_else(|| DbErr::Custom("another relay".to_owned()))?;
        outbox::stamp(tx, fence, 10_000, |fact| registry::letters().following(fact)).await
    })
    .await
    .unwrap();
}

async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// Starts a worker of the mail queue.
fn start_worker(db: &Db, bus: &Arc<dyn Bus>) -> (Arc<Recorder>, StopSignal, JoinHandle<()>) {
    let (recorder, stop) = (Arc::new(Recorder::default()), StopSignal::default());
    let listening = Arc::clone(&recorder);
    let listener = Listener::new(move |number, _| {
        listening.0.lock().unwrap().push(number);
        std::future::ready(Ok(()))
    });
    let worker = QueueWorker {
        db: db.clone(),
        desk: DeskActivity::default(),
        bus: Arc::clone(bus),
        queue: Queue::Mail,
        concurrency: 4,
        task_time_max: Duration::from_secs(30),
        kinds: TaskKinds::default().with::<Numbered>(listener),
    };
    let running = tokio::spawn(worker.run(stop.clone()));
    (recorder, stop, running)
}

/// Returns whether the first future is ready before the second. Does not wait for the second.
async fn is_first(first: impl Future<Output = ()>, second: impl Future<Output = ()>) -> bool {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| match (first.as_mut().poll(context), second.as_mut().poll(context)) {
        (Poll::Ready(()), _) => Poll::Ready(true),
        (Poll::Pending, Poll::Ready(())) => Poll::Ready(false),
        (Poll::Pending, Poll::Pending) => Poll::Pending,
    })
    .await
}

/// Runs a projection until the end of the test.
fn project(db: &Db, bus: &Arc<dyn Bus>, projection: RecordingProjection) -> Arc<RecordingProjection> {
    let projection = Arc::new(projection);
    tokio::spawn(projections::run(db.clone(), Arc::clone(bus), projection.clone(), CancellationToken::new()));
    projection
}

/// Runs a projection that starts at the newest fact.
async fn project_from_now(db: &Db, bus: &Arc<dyn Bus>) -> Arc<RecordingProjection> {
    let projection = project(db, bus, RecordingProjection::new("recorder"));
    projection.until(|recorded| recorded.position.is_some()).await;
    projection
}

/// Waits until a projection has reached a position. Returns the positions of all facts that it was given, in
/// the order in which they came.
async fn positions(projection: &RecordingProjection, last: i64) -> Vec<i64> {
    projection.reaches(last).await.batches.concat()
}

pub(crate) async fn an_announced_task_wakes_its_queue_and_no_other(fixture: Fixture) {
    let (_, here) = fixture.process().await;
    let (_, there) = fixture.process().await;
    let (mut mail, mut payments) = (there.consumer(Queue::Mail, 4), there.consumer(Queue::Payments, 4));
    eventually("it is announced", async || here.announce(Queue::Mail, 1).await.is_ok()).await;
    assert!(is_first(mail.wait(), payments.wait()).await);
}

pub(crate) async fn what_one_process_queues_is_done_by_another(fixture: Fixture) {
    let (here, to) = fixture.process().await;
    let (there, from) = fixture.process().await;
    let (recorder, stop, running) = start_worker(&there, &from);
    let announcing = CancellationToken::new();
    let announced = tokio::spawn(announce::run(here.clone(), Arc::clone(&to), announcing.clone()));
    for number in 0..50 {
        enqueue(&here, numbered(number)).await;
    }
    eventually("all are done", async || recorder.0.lock().unwrap().len() >= 50).await;
    eventually("no row is left", async || tasks::depths(&here).await.unwrap().is_empty()).await;
    stop.claiming.cancel();
    announcing.cancel();
    running.await.unwrap();
    announced.await.unwrap();
    let done = recorder.0.lock().unwrap().clone();
    assert_eq!((done.len(), done.into_iter().collect::<BTreeSet<_>>().len()), (50, 50));
}

pub(crate) async fn every_process_hears_every_fact_in_order(fixture: Fixture) {
    const WRITERS: u128 = 3;
    const EACH: u128 = 40;
    let mut processes = Vec::new();
    for _ in 0..WRITERS {
        processes.push(fixture.process().await);
    }
    let mut projections = Vec::new();
    for (db, bus) in &processes {
        projections.push(project_from_now(db, bus).await);
    }
    let stop = CancellationToken::new();
    let relays: Vec<_> = processes
        .iter()
        .map(|(db, bus)| {
            tokio::spawn(relay::run(db.clone(), Arc::clone(bus), DeskActivity::default(), stop.clone()))
        })
        .collect();
    let writers: Vec<_> = processes
        .iter()
        .zip(0_u128..)
        .map(|((db, _), writer)| {
            let db = db.clone();
            tokio::spawn(async move {
                for number in 0..EACH {
                    publish(&db, writer * EACH + number..writer * EACH + number + 1).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all: Vec<i64> = (1..=i64::try_from(WRITERS * EACH).unwrap()).collect();
    for projection in &projections {
        assert_eq!(positions(projection, *all.last().unwrap()).await, all);
    }
    stop.cancel();
    for relay in relays {
        relay.await.unwrap();
    }
}

pub(crate) async fn a_projection_misses_nothing_though_its_bus_does(fixture: Fixture) {
    let (db, bus) = fixture.process().await;
    let projection = project_from_now(&db, &bus).await;
    publish(&db, 0..10).await;
    stamp_silently(&db).await;
    assert_eq!(positions(&projection, 10).await, (1..=10).collect::<Vec<_>>(), "found by polling");
    // More facts than a subscriber may lag behind, some of them broadcast and some not.
    for from in (10..6_000).step_by(1_000) {
        publish(&db, from..(from + 1_000).min(6_000)).await;
    }
    stamp_silently(&db).await;
    let told =
        outbox::read_after(&db, 1_000, 5_000).await.unwrap().into_iter().filter_map(|(_, stamped)| stamped);
    let told: Vec<_> = told.collect();
    for some in told.chunks(500) {
        let _lost_or_not = bus.broadcast(some).await;
    }
    assert_eq!(positions(&projection, 6_000).await, (1..=6_000).collect::<Vec<_>>());
    let late = project(&db, &bus, RecordingProjection::at("late", 5_990));
    assert_eq!(positions(&late, 6_000).await, (5_991..=6_000).collect::<Vec<_>>());
}

pub(crate) async fn a_stamped_fact_of_an_unknown_kind_is_passed_over(fixture: Fixture) {
    let (db, bus) = fixture.process().await;
    let projection = project(&db, &bus, RecordingProjection::at("known", 0));
    publish(&db, 0..5).await;
    let newer =
        "UPDATE outbox SET kind = 'of_a_newer_version', payload = '{\"kind\": \"of_a_newer_version\"}'";
    let stamped = in_tx(&db, ACTOR, async |tx| {
        let fence = outbox::lease(tx, Uuid::from_u128(1)).await?.unwrap();
        outbox::stamp(tx, fence, 100, |_| Ok(Vec::new())).await?;
        tx.conn().execute_unprepared(&format!("{newer} WHERE position IN (1, 3, 5)")).await
    });
    stamped.await.unwrap();
    assert_eq!(positions(&projection, 5).await, [2, 4], "the last one is skipped as well");
    publish(&db, 5..6).await;
    stamp_silently(&db).await;
    assert_eq!(positions(&projection, 6).await, [2, 4, 6]);
}

pub(crate) async fn what_is_told_twice_and_in_disorder_is_heard_once_and_in_order(fixture: Fixture) {
    const FACTS: u128 = 300;
    const TASKS: u64 = 60;
    let (here, to) = fixture.process().await;
    let mut projections = Vec::new();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let (there, from) = fixture.process().await;
        projections.push(project_from_now(&there, &from).await);
        workers.push(start_worker(&there, &from));
    }
    publish(&here, 0..FACTS).await;
    stamp_silently(&here).await;
    let told =
        outbox::read_after(&here, 0, 1_000).await.unwrap().into_iter().filter_map(|(_, stamped)| stamped);
    let told: Vec<_> = told.collect();
    let mut told = [told.clone(), told].concat();
    // Any order will do that is not ascending.
    let order = |at: usize| at * 7 % 601;
    told = told
        .iter()
        .zip(1..)
        .map(|(fact, at)| (order(at), fact.clone()))
        .collect::<BTreeMap<_, _>>()
        .into_values()
        .collect();
    for some in told.chunks(50) {
        let _lost_or_not = to.broadcast(some).await;
    }
    let all: Vec<i64> = (1..=i64::try_from(FACTS).unwrap()).collect();
    for projection in &projections {
        assert_eq!(positions(projection, *all.last().unwrap()).await, all);
    }
    // Each task gets three permits, and two workers compete for them.
    for number in 0..TASKS {
        enqueue(&here, numbered(number)).await;
    }
    for _ in 0..3 {
        eventually("it is announced", async || {
            to.announce(Queue::Mail, u32::try_from(TASKS).unwrap()).await.is_ok()
        })
        .await;
    }
    eventually("no row is left", async || tasks::depths(&here).await.unwrap().is_empty()).await;
    let mut done = Vec::new();
    for (recorder, stop, running) in workers {
        stop.claiming.cancel();
        running.await.unwrap();
        done.extend(recorder.0.lock().unwrap().iter().copied());
    }
    done.sort_unstable();
    assert_eq!(done, (0..TASKS).collect::<Vec<_>>());
}

pub(crate) async fn a_projection_too_far_behind_is_rebuilt(fixture: Fixture) {
    let (db, bus) = fixture.process().await;
    publish(&db, 0..5).await;
    stamp_silently(&db).await;
    fixture.kit.clock.advance(TimeDelta::days(8));
    in_tx(&db, ACTOR, async |tx| outbox::sweep(tx, tx.now()).await).await.unwrap();
    publish(&db, 5..6).await;
    stamp_silently(&db).await;
    let behind = project(&db, &bus, RecordingProjection::at("behind", 2));
    let in_time = project(&db, &bus, RecordingProjection::at("in time", 5));
    let behind = behind.reaches(6).await;
    assert_eq!((behind.rebuilds, behind.batches), (vec![6], vec![]));
    let in_time = in_time.reaches(6).await;
    assert_eq!((in_time.rebuilds, in_time.batches), (vec![], vec![vec![6]]));
}

pub(crate) async fn work_left_behind_is_news_for_everybody(fixture: Fixture) {
    let (here, _to) = fixture.process().await;
    let (_, there) = fixture.process().await;
    let news = Mutex::new(there.news());
    eventually("the news arrives", async || {
        publish(&here, 0..1).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut news = news.lock().unwrap();
        let changed = news.has_changed().unwrap();
        news.mark_unchanged();
        changed
    })
    .await;
}

pub(crate) async fn a_task_that_comes_due_later_is_announced_then(fixture: Fixture) {
    let (here, to) = fixture.process().await;
    let (there, from) = fixture.process().await;
    let (recorder, stop, running) = start_worker(&there, &from);
    let relay = tokio::spawn(relay::run(here.clone(), to, DeskActivity::default(), stop.claiming.clone()));
    enqueue(&here, numbered(1).at(fixture.kit.db.now() + TimeDelta::minutes(5))).await;
    enqueue(&here, numbered(2).at(fixture.kit.db.now() + TimeDelta::seconds(1))).await;
    fixture.kit.clock.advance(TimeDelta::seconds(2));
    eventually("the first is done", async || !recorder.0.lock().unwrap().is_empty()).await;
    assert_eq!(*recorder.0.lock().unwrap(), [2]);
    fixture.kit.clock.advance(TimeDelta::minutes(5));
    eventually("the second is done", async || recorder.0.lock().unwrap().len() == 2).await;
    stop.claiming.cancel();
    running.await.unwrap();
    relay.await.unwrap();
}
