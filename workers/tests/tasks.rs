//! Tests of tasks: each task runs once if nothing fails, and failures are recorded and retried.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::platform::{
    Db, OpError,
    access::{Actor, AdminScope, SystemScope},
    ids::{CheckoutId, TaskId},
    in_tx,
    mail::{LinkBase, Mail, MailError, Mailer, SendMail},
    page::Page,
    tasks::{
        self, ATTEMPTS_MAX, AttemptFailure, AttemptOutcome, Claimed, DiscardReason, DiscardRefusal,
        FAILURES_MAX, LEASE_SECS, NewTask, Queue, RequeueRefusal, Task, TaskError, TaskFailure, TaskFilter,
        TaskKinds, TaskRow, TaskSort, TaskState,
    },
    trace::TraceParent,
};
use domain::{
    payments::gateways::Gateways,
    registry::{self, Ports},
    reservations::{DeskActivity, letters::HeldLetter},
};
use sea_orm::ConnectionTrait;
use testkit::{Kit, Listener, Numbered, on_both};
use tokio::{sync::Notify, task::JoinHandle};
use uuid::Uuid;
use workers::{
    announce,
    bus::{Bus, embedded::EmbeddedBus},
    run::{QueueWorker, StopSignal},
};

const ACTOR: Actor = Actor::System("test");

/// The result of the handler.
#[derive(Clone, Copy)]
enum Then {
    Done,
    Retry,
    Discard,
    Panic,
    Hang,
}

type Behave = Box<dyn Fn(u64, i32) -> Then + Send + Sync>;

/// Records the tasks and attempts that it was given, and returns the results that the test wants.
struct Recorder {
    seen: Mutex<Vec<(u64, i32)>>,
    traces: Mutex<Vec<Option<String>>>,
    behave: Behave,
}

impl Recorder {
    fn new(behave: impl Fn(u64, i32) -> Then + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { seen: Mutex::default(), traces: Mutex::default(), behave: Box::new(behave) })
    }

    /// Returns the numbers of the tasks and of their attempts, in order.
    fn seen(&self) -> Vec<(u64, i32)> {
        self.seen.lock().unwrap().clone()
    }

    async fn saw(&self, count: usize) {
        eventually(async || self.seen().len() >= count).await;
    }

    fn listener(self: &Arc<Self>) -> Listener {
        let this = Arc::clone(self);
        Listener::new(move |number, attempt| {
            let this = Arc::clone(&this);
            async move { this.attempt(number, attempt).await }
        })
    }

    async fn attempt(&self, number: u64, attempt: i32) -> Result<(), TaskError> {
        self.seen.lock().unwrap().push((number, attempt));
        self.traces.lock().unwrap().push(TraceParent::current().map(|trace| trace.header()));
        match (self.behave)(number, attempt) {
            Then::Done => Ok(()),
            Then::Retry => Err(TaskError::retry("not yet")),
            Then::Discard => Err(TaskError::discard("never")),
            Then::Panic => panic!("a panic in a test"),
            Then::Hang => std::future::pending().await,
        }
    }
}

fn task(number: u64) -> Numbered {
    Numbered { number }
}

async fn enqueue(db: &Db, new: impl Into<NewTask>) {
    let new = new.into();
    in_tx(db, ACTOR, async |tx| tasks::enqueue(tx, new).await).await.unwrap();
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the condition holds in time");
}

async fn depth(db: &Db, state: TaskState) -> i64 {
    let depths = tasks::depths(db).await.unwrap();
    depths.iter().filter(|(_, of, _)| *of == state).map(|(_, _, depth)| depth).sum()
}

async fn peace(db: &Db) {
    eventually(async || tasks::depths(db).await.unwrap().is_empty()).await;
}

fn admin() -> AdminScope {
    SystemScope::new("test").as_admin()
}

async fn listed(db: &Db, filter: TaskFilter) -> Vec<TaskRow> {
    let page = tasks::list(db, &admin(), &filter, TaskSort::Oldest, &Page::first(100)).await.unwrap();
    page.rows.into_iter().map(|(_, row)| row).collect()
}

async fn dead(db: &Db) -> Vec<TaskRow> {
    listed(db, TaskFilter { state: Some(TaskState::Dead), ..TaskFilter::default() }).await
}

async fn claim(db: &Db) -> Vec<Claimed> {
    in_tx(db, ACTOR, async |tx| tasks::claim(tx, Queue::Mail, &[Numbered::KIND], 10).await).await.unwrap()
}

/// Returns the failed attempts of a task, oldest first.
async fn failures(db: &Db, id: TaskId) -> Vec<TaskFailure> {
    let mut failures = tasks::failures_of(db, &admin(), &[id]).await.unwrap().remove(&id).unwrap_or_default();
    failures.reverse();
    failures
}

async fn history(db: &Db, id: TaskId) -> Vec<(i32, AttemptOutcome)> {
    failures(db, id).await.iter().map(|failure| (failure.attempt, failure.outcome)).collect()
}

/// Returns the expected history of attempts with equal outcomes.
fn alike(attempts: std::ops::RangeInclusive<i32>, outcome: AttemptOutcome) -> Vec<(i32, AttemptOutcome)> {
    attempts.map(|attempt| (attempt, outcome)).collect()
}

async fn execute(db: &Db, sql: &str) {
    in_tx(db, ACTOR, async |tx| tx.conn().execute_unprepared(sql).await).await.unwrap();
}

/// Completes a task only when the test releases it.
struct Stalling {
    go_on: Arc<Notify>,
    steps: AtomicU32,
}

impl Stalling {
    fn new(go_on: &Arc<Notify>) -> Arc<Self> {
        Arc::new(Self { go_on: Arc::clone(go_on), steps: AtomicU32::new(0) })
    }

    fn began(&self) -> bool {
        self.steps.load(Ordering::SeqCst) > 0
    }

    fn ended(&self) -> bool {
        self.steps.load(Ordering::SeqCst) > 1
    }

    fn listener(self: &Arc<Self>) -> Listener {
        let this = Arc::clone(self);
        Listener::new(move |_, _| {
            let this = Arc::clone(&this);
            async move {
                this.steps.fetch_add(1, Ordering::SeqCst);
                this.go_on.notified().await;
                this.steps.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        })
    }
}

/// Accepts every letter.
struct Postman;

#[async_trait]
impl Mailer for Postman {
    async fn send(&self, _mail: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

fn ports() -> Ports {
    Ports {
        gateways: Gateways::default(),
        mailer: Arc::new(Postman),
        links: LinkBase::new("https://shop.example"),
    }
}

struct Worker {
    bus: Arc<dyn Bus>,
    stop: StopSignal,
    task: JoinHandle<()>,
}

impl Worker {
    fn start(db: &Db, recorder: &Arc<Recorder>, concurrency: usize) -> Self {
        Self::with_time(db, recorder, concurrency, Duration::from_secs(30))
    }

    fn with_time(db: &Db, recorder: &Arc<Recorder>, concurrency: usize, task_time_max: Duration) -> Self {
        Self::of(db, recorder.listener(), concurrency, task_time_max)
    }

    fn of(db: &Db, listener: Listener, concurrency: usize, task_time_max: Duration) -> Self {
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(db.clone()));
        let stop = StopSignal::default();
        tokio::spawn(announce::run(db.clone(), Arc::clone(&bus), stop.claiming.clone()));
        let kinds = registry::tasks(ports()).and(TaskKinds::default().with::<Numbered>(listener));
        let worker = QueueWorker {
            db: db.clone(),
            desk: DeskActivity::default(),
            bus: Arc::clone(&bus),
            queue: Queue::Mail,
            concurrency,
            task_time_max,
            kinds,
        };
        Self { bus, task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    /// Advances the clock so that tasks in backoff become due, and announces them, as the relay would.
    async fn later(&self, kit: &Kit) {
        kit.clock.advance(TimeDelta::minutes(11));
        self.bus.announce(Queue::Mail, 1).await.unwrap();
    }

    async fn end(self) {
        self.stop.claiming.cancel();
        self.task.await.unwrap();
    }
}

on_both! {
    async fn each_task_is_done_once_by_one_of_several_workers(kit: Kit) {
        const COUNT: u64 = 60;
        let recorder = Recorder::new(|_, _| Then::Done);
        let mut workers = vec![Worker::start(&kit.db, &recorder, 4)];
        for _ in 0..2 {
            workers.push(Worker::start(&kit.connect(4).await, &recorder, 4));
        }
        for number in 0..COUNT {
            enqueue(&kit.db, task(number)).await;
        }
        peace(&kit.db).await;
        for worker in workers {
            worker.end().await;
        }
        let seen: BTreeSet<_> = recorder.seen().into_iter().collect();
        assert_eq!(recorder.seen().len(), seen.len(), "no task ran twice");
        assert_eq!(seen, (0..COUNT).map(|number| (number, 1)).collect());
    }

    async fn a_task_starts_as_soon_as_it_is_committed(kit: Kit) {
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        let began = Instant::now();
        for number in 0..40 {
            enqueue(&kit.db, task(number)).await;
            peace(&kit.db).await;
        }
        // Polling once a second would take about 40 s.
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        worker.end().await;
    }

    async fn a_task_waits_for_its_time(kit: Kit) {
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        enqueue(&kit.db, NewTask::from(task(1)).at(kit.db.now() + TimeDelta::seconds(20))).await;
        enqueue(&kit.db, task(2)).await;
        recorder.saw(1).await;
        assert_eq!(recorder.seen(), [(2, 1)]);
        kit.clock.advance(TimeDelta::seconds(20));
        recorder.saw(2).await;
        worker.end().await;
    }

    async fn tasks_run_by_urgency_and_then_by_age(kit: Kit) {
        let (now, ago) = (kit.db.now(), |minutes| kit.db.now() - TimeDelta::minutes(minutes));
        for (number, urgency, since) in
            [(5, 1, ago(60)), (3, 0, ago(5)), (4, 0, now), (1, 0, ago(30)), (2, 0, ago(10))]
        {
            enqueue(&kit.db, NewTask::from(task(number)).ranked(urgency, since)).await;
        }
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        peace(&kit.db).await;
        worker.end().await;
        assert_eq!(recorder.seen().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    async fn a_failed_task_is_retried_after_a_delay(kit: Kit) {
        let recorder = Recorder::new(|_, attempt| if attempt < 3 { Then::Retry } else { Then::Done });
        let worker = Worker::start(&kit.db, &recorder, 1);
        enqueue(&kit.db, task(1)).await;
        for attempt in 1..3 {
            recorder.saw(attempt).await;
            eventually(async || depth(&kit.db, TaskState::Ready).await == 1).await;
            worker.later(&kit).await;
        }
        peace(&kit.db).await;
        assert_eq!(recorder.seen(), [(1, 1), (1, 2), (1, 3)]);
        worker.end().await;
    }

    async fn a_task_that_fails_for_good_becomes_a_dead_letter_at_once(kit: Kit) {
        let recorder = Recorder::new(|_, _| Then::Discard);
        let worker = Worker::start(&kit.db, &recorder, 1);
        enqueue(&kit.db, task(1)).await;
        eventually(async || depth(&kit.db, TaskState::Dead).await == 1).await;
        assert_eq!(
            dead(&kit.db).await.iter().map(|row| row.last_error.as_deref()).collect::<Vec<_>>(),
            [Some("never")]
        );
        worker.end().await;
    }

    async fn a_task_that_fails_too_often_becomes_a_dead_letter_and_can_be_requeued(kit: Kit) {
        let recorder = Recorder::new(|_, _| Then::Retry);
        let worker = Worker::start(&kit.db, &recorder, 1);
        enqueue(&kit.db, task(1)).await;
        eventually(async || {
            worker.later(&kit).await;
            depth(&kit.db, TaskState::Dead).await == 1
        })
        .await;
        let attempts = usize::try_from(ATTEMPTS_MAX).unwrap();
        assert_eq!(recorder.seen().len(), attempts);
        let letter = dead(&kit.db).await.remove(0);
        assert_eq!(history(&kit.db, letter.id).await, alike(1..=ATTEMPTS_MAX, AttemptOutcome::Retry));
        let back = tasks::requeue(&kit.db, &admin(), letter.id).await.unwrap();
        assert_eq!(
            (back.state, back.attempt, back.attempts_max),
            (TaskState::Ready, ATTEMPTS_MAX, 2 * ATTEMPTS_MAX)
        );
        recorder.saw(attempts + 1).await;
        eventually(async || {
            worker.later(&kit).await;
            depth(&kit.db, TaskState::Dead).await == 1
        })
        .await;
        assert_eq!(
            history(&kit.db, letter.id).await,
            alike(1..=2 * ATTEMPTS_MAX, AttemptOutcome::Retry),
            "the limit of attempts was extended"
        );
        worker.end().await;
    }

    async fn the_history_of_a_task_is_bounded_and_deleted_with_it(kit: Kit) {
        enqueue(&kit.db, task(1)).await;
        let failure = AttemptFailure::new(AttemptOutcome::Retry, "no ".repeat(5_000));
        let rounds = FAILURES_MAX + 6;
        for _ in 0..rounds {
            execute(&kit.db, "UPDATE tasks SET attempts_max = 100").await;
            let claimed = claim(&kit.db).await.remove(0);
            assert!(
                in_tx(&kit.db, ACTOR, async |tx| tasks::retry(tx, &claimed, tx.now(), &failure).await)
                    .await
                    .unwrap()
            );
        }
        let id = listed(&kit.db, TaskFilter::default()).await.remove(0).id;
        assert_eq!(history(&kit.db, id).await, alike(7..=rounds, AttemptOutcome::Retry));
        assert!(failures(&kit.db, id).await.iter().all(|failure| failure.error.len() == 2_000));
        let claimed = claim(&kit.db).await.remove(0);
        assert!(in_tx(&kit.db, ACTOR, async |tx| tasks::finish(tx, &claimed).await).await.unwrap());
        let state = kit.state().await;
        assert_eq!((state.count("tasks"), state.count("task_failures")), (0, 0));
    }

    async fn the_result_of_a_worker_that_lost_its_lease_is_ignored(kit: Kit) {
        enqueue(&kit.db, task(1)).await;
        let stalled = claim(&kit.db).await.remove(0);
        kit.clock.advance(TimeDelta::seconds(LEASE_SECS + 1));
        let other = kit.connect(2).await;
        let present = claim(&other).await.remove(0);
        assert_eq!((present.id, present.attempt), (stalled.id, 2));
        let before = kit.state().await;
        let failure = AttemptFailure::new(AttemptOutcome::Discard, "never");
        let ours = in_tx(&kit.db, ACTOR, async |tx| {
            Ok::<_, sea_orm::DbErr>([
                tasks::finish(tx, &stalled).await?,
                tasks::retry(tx, &stalled, tx.now(), &failure).await?,
                tasks::bury(tx, &stalled, &failure).await?,
                tasks::hand_back(tx, &stalled).await?,
            ])
        })
        .await
        .unwrap();
        assert_eq!((ours, kit.state().await), ([false; 4], before), "nothing changed");
        assert!(in_tx(&other, ACTOR, async |tx| tasks::finish(tx, &present).await).await.unwrap());
        // A finished task cannot be finished again.
        assert!(!in_tx(&kit.db, ACTOR, async |tx| tasks::finish(tx, &present).await).await.unwrap());
    }

    async fn a_stalled_worker_cannot_finish_a_task_that_another_took_over(kit: Kit) {
        let (hangs, fails) = (Arc::new(Notify::new()), Recorder::new(|_, _| Then::Retry));
        let stalls = Stalling::new(&hangs);
        let stalled = Worker::of(&kit.db, stalls.listener(), 1, Duration::from_secs(60));
        enqueue(&kit.db, task(1)).await;
        eventually(async || stalls.began()).await;
        kit.clock.advance(TimeDelta::seconds(LEASE_SECS + 1));
        let other = kit.connect(4).await;
        let worker = Worker::start(&other, &fails, 1);
        fails.saw(1).await;
        eventually(async || depth(&kit.db, TaskState::Ready).await == 1).await;
        // The stalled worker resumes and reports success, but the task is waiting for its retry.
        hangs.notify_one();
        eventually(async || stalls.ended()).await;
        stalled.end().await;
        assert_eq!(depth(&kit.db, TaskState::Ready).await, 1, "the task still waits for its retry");
        worker.end().await;
        let id = listed(&kit.db, TaskFilter::default()).await.remove(0).id;
        assert_eq!(history(&kit.db, id).await, [(1, AttemptOutcome::Lost), (2, AttemptOutcome::Retry)]);
    }

    async fn a_panic_does_not_affect_other_tasks(kit: Kit) {
        let recorder = Recorder::new(
            |number, attempt| if (number, attempt) == (1, 1) { Then::Panic } else { Then::Done },
        );
        let worker = Worker::start(&kit.db, &recorder, 2);
        enqueue(&kit.db, task(1)).await;
        recorder.saw(1).await;
        enqueue(&kit.db, task(2)).await;
        recorder.saw(2).await;
        eventually(async || depth(&kit.db, TaskState::Ready).await == 1).await;
        let row = listed(&kit.db, TaskFilter { state: Some(TaskState::Ready), ..TaskFilter::default() })
            .await
            .remove(0);
        let failed = failures(&kit.db, row.id).await;
        assert_eq!(failed.iter().map(|failure| failure.outcome).collect::<Vec<_>>(), [AttemptOutcome::Panic]);
        assert!(failed.iter().all(|failure| failure.error.contains("a panic in a test")), "{failed:?}");
        worker.later(&kit).await;
        peace(&kit.db).await;
        assert_eq!(recorder.seen(), [(1, 1), (2, 1), (1, 2)]);
        worker.end().await;
    }

    async fn a_task_that_hangs_times_out_and_is_retried(kit: Kit) {
        let recorder = Recorder::new(|_, attempt| if attempt == 1 { Then::Hang } else { Then::Done });
        let worker = Worker::with_time(&kit.db, &recorder, 1, Duration::from_millis(50));
        enqueue(&kit.db, task(1)).await;
        recorder.saw(1).await;
        eventually(async || depth(&kit.db, TaskState::Ready).await == 1).await;
        let row = listed(&kit.db, TaskFilter::default()).await.remove(0);
        assert_eq!(history(&kit.db, row.id).await, [(1, AttemptOutcome::TimedOut)]);
        worker.later(&kit).await;
        peace(&kit.db).await;
        worker.end().await;
    }

    async fn a_task_of_a_dead_worker_is_taken_over_when_its_lease_expires(kit: Kit) {
        enqueue(&kit.db, task(1)).await;
        assert_eq!(claim(&kit.db).await.len(), 1);
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        enqueue(&kit.db, task(2)).await;
        recorder.saw(1).await;
        assert_eq!(recorder.seen(), [(2, 1)], "the lease holds");
        kit.clock.advance(TimeDelta::seconds(LEASE_SECS + 1));
        recorder.saw(2).await;
        assert_eq!(recorder.seen(), [(2, 1), (1, 2)]);
        worker.end().await;
    }

    async fn a_task_that_keeps_crashing_its_worker_becomes_a_dead_letter(kit: Kit) {
        enqueue(&kit.db, task(1)).await;
        for _ in 0..ATTEMPTS_MAX {
            assert_eq!(claim(&kit.db).await.len(), 1);
            kit.clock.advance(TimeDelta::seconds(LEASE_SECS + 1));
        }
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        eventually(async || depth(&kit.db, TaskState::Dead).await == 1).await;
        assert!(recorder.seen().is_empty(), "it did not run again");
        worker.end().await;
        let letter = dead(&kit.db).await.remove(0);
        assert_eq!(
            (letter.attempt, letter.last_error.as_deref()),
            (ATTEMPTS_MAX, Some("the worker did not renew its lease"))
        );
        assert_eq!(history(&kit.db, letter.id).await, alike(1..=ATTEMPTS_MAX, AttemptOutcome::Lost));
    }

    async fn a_stop_hands_back_tasks_that_do_not_finish_in_time(kit: Kit) {
        let recorder = Recorder::new(|_, _| Then::Hang);
        let worker = Worker::start(&kit.db, &recorder, 2);
        for number in 0..3 {
            enqueue(&kit.db, task(number)).await;
        }
        recorder.saw(2).await;
        worker.stop.claiming.cancel();
        worker.stop.running.cancel();
        worker.task.await.unwrap();
        assert_eq!(recorder.seen().len(), 2, "no task was claimed after the stop");
        assert_eq!(
            (depth(&kit.db, TaskState::Ready).await, depth(&kit.db, TaskState::Running).await),
            (3, 0)
        );
        let successor = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &successor, 2);
        peace(&kit.db).await;
        worker.end().await;
    }

    async fn a_task_runs_in_the_trace_of_the_operation_that_queued_it(kit: Kit) {
        let trace = TraceParent::start(kit.db.entropy());
        trace.clone().scope(enqueue(&kit.db, task(1))).await;
        enqueue(&kit.db, task(2)).await;
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        peace(&kit.db).await;
        worker.end().await;
        let traces = recorder.traces.lock().unwrap().clone();
        let numbers = recorder.seen().into_iter().map(|(number, _)| number);
        for (number, seen) in numbers.zip(traces) {
            match number {
                1 => assert_eq!(seen, Some(trace.header())),
                _ => assert!(seen.is_some_and(|seen| seen != trace.header()), "a trace of its own"),
            }
        }
    }

    async fn a_second_task_with_the_same_subject_is_queued_while_the_first_runs(kit: Kit) {
        let new = || NewTask::from(task(1)).unique();
        enqueue(&kit.db, new()).await;
        enqueue(&kit.db, new()).await;
        assert_eq!(claim(&kit.db).await.len(), 1, "one task is queued for both");
        // The change that made the second task necessary may have been committed after the first task read
        // its data.
        enqueue(&kit.db, new()).await;
        assert_eq!(claim(&kit.db).await.len(), 1);
    }

    async fn a_task_of_an_unknown_kind_is_left_as_it_is_and_its_queue_goes_on(kit: Kit) {
        for number in 0..5 {
            enqueue(&kit.db, task(number)).await;
        }
        // The unknown tasks are more urgent than all known ones, and one was running on a newer worker that
        // died.
        let newer = "kind = 'of_a_newer_version', payload = '{\"task\": \"of_a_newer_version\"}', \
                     urgency = -1";
        let all_but_first = "subject > (SELECT MIN(subject) FROM tasks)";
        execute(&kit.db, &format!("UPDATE tasks SET {newer} WHERE {all_but_first}")).await;
        let running = "state = 'RUNNING', attempt = 1, lease_until = created_at";
        let last = "subject = (SELECT MAX(subject) FROM tasks)";
        execute(&kit.db, &format!("UPDATE tasks SET {running} WHERE {last}")).await;
        kit.clock.advance(TimeDelta::seconds(1));
        let before: Vec<_> =
            listed(&kit.db, TaskFilter::default()).await.into_iter().filter(|row| row.urgency < 0).collect();
        assert_eq!(before.len(), 4);
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        recorder.saw(1).await;
        enqueue(&kit.db, task(7)).await;
        recorder.saw(2).await;
        eventually(async || listed(&kit.db, TaskFilter::default()).await.len() == 4).await;
        worker.end().await;
        assert_eq!(recorder.seen(), [(0, 1), (7, 1)]);
        assert_eq!(listed(&kit.db, TaskFilter::default()).await, before);
        assert_eq!(kit.state().await.count("task_failures"), 0);
    }

    async fn tasks_of_an_unknown_queue_are_left_out_of_the_list(kit: Kit) {
        for number in 0..2 {
            enqueue(&kit.db, task(number)).await;
        }
        let all = listed(&kit.db, TaskFilter::default()).await;
        let [known, newer] = all.as_slice() else { panic!("two tasks: {all:?}") };
        let change = "UPDATE tasks SET queue = 'of_a_newer_version', state = 'DEAD'";
        execute(&kit.db, &format!("{change} WHERE subject = '{}'", newer.subject.as_deref().unwrap())).await;
        assert_eq!(listed(&kit.db, TaskFilter::default()).await, std::slice::from_ref(known));
        let (db, admin) = (&kit.db, admin());
        assert_eq!(tasks::count(db, &admin, &TaskFilter::default()).await.unwrap(), 1);
        assert!(tasks::by_ids(db, &admin, &[newer.id]).await.unwrap().is_empty());
        let before = kit.state().await;
        let requeued = tasks::requeue(db, &admin, newer.id).await;
        let OpError::Refused(why) = requeued.unwrap_err() else { panic!("a refusal") };
        assert!(why.iter().all(|refused| refused.code == RequeueRefusal::NotFound));
        let reason = DiscardReason::new("made by a newer version").unwrap();
        let discarded = tasks::discard(db, &admin, newer.id, &reason).await;
        let OpError::Refused(why) = discarded.unwrap_err() else { panic!("a refusal") };
        assert!(why.iter().all(|refused| refused.code == DiscardRefusal::NotFound));
        assert_eq!(kit.state().await, before);
    }

    async fn an_unknown_letter_is_left_to_a_newer_version_and_its_queue_goes_on(kit: Kit) {
        let letter = SendMail::new(&HeldLetter { checkout: CheckoutId(Uuid::from_u128(1)) }).unwrap();
        enqueue(&kit.db, letter).await;
        let payload = r#"{"task": "send_mail", "letter": {"letter": "of_a_newer_version"}}"#;
        execute(&kit.db, &format!("UPDATE tasks SET payload = '{payload}'")).await;
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        let waiting = async || {
            listed(&kit.db, TaskFilter::default())
                .await
                .into_iter()
                .find(|row| row.kind == SendMail::KIND)
                .unwrap()
        };
        for attempt in 1..=ATTEMPTS_MAX + 1 {
            eventually(async || {
                (waiting().await.attempt, waiting().await.state) == (attempt, TaskState::Ready)
            })
            .await;
            let row = waiting().await;
            assert_eq!(
                (row.attempts_max - row.attempt, row.last_error),
                (ATTEMPTS_MAX, None),
                "no attempt is counted"
            );
            assert!(row.run_at > kit.db.now(), "it is delayed");
            enqueue(&kit.db, task(attempt.unsigned_abs().into())).await;
            recorder.saw(usize::try_from(attempt).unwrap()).await;
            worker.later(&kit).await;
        }
        worker.end().await;
        assert_eq!(kit.state().await.count("task_failures"), 0);
    }

    async fn a_task_with_an_unreadable_payload_becomes_a_dead_letter_and_its_queue_goes_on(kit: Kit) {
        enqueue(&kit.db, task(1)).await;
        execute(&kit.db, "UPDATE tasks SET payload = '{\"task\": \"numbered\"}'").await;
        enqueue(&kit.db, task(2)).await;
        let recorder = Recorder::new(|_, _| Then::Done);
        let worker = Worker::start(&kit.db, &recorder, 1);
        recorder.saw(1).await;
        eventually(async || {
            worker.later(&kit).await;
            depth(&kit.db, TaskState::Dead).await == 1
        })
        .await;
        assert_eq!(recorder.seen(), [(2, 1)]);
        worker.end().await;
        let letter = dead(&kit.db).await.remove(0);
        assert_eq!(history(&kit.db, letter.id).await, alike(1..=ATTEMPTS_MAX, AttemptOutcome::Unreadable));
        let error = letter.last_error.unwrap();
        assert_eq!(error, "this version cannot read the task: missing field `number`");
    }

    async fn attempts_that_a_stop_handed_back_are_not_counted(kit: Kit) {
        enqueue(&kit.db, task(1)).await;
        for _ in 0..2 * ATTEMPTS_MAX {
            let claimed = claim(&kit.db).await.remove(0);
            assert!(!claimed.is_last());
            assert!(in_tx(&kit.db, ACTOR, async |tx| tasks::hand_back(tx, &claimed).await).await.unwrap());
        }
        assert_eq!(kit.state().await.count("task_failures"), 0);
    }

    async fn a_start_takes_back_the_tasks_of_the_last_server(kit: Kit) {
        enqueue(&kit.db, task(1)).await;
        enqueue(&kit.db, task(2)).await;
        claim(&kit.db).await;
        let last = "subject = (SELECT MAX(subject) FROM tasks)";
        execute(&kit.db, &format!("UPDATE tasks SET attempts_max = 1 WHERE {last}")).await;
        assert_eq!(tasks::take_back(&kit.db, &SystemScope::new("start")).await.unwrap(), 1);
        assert_eq!((depth(&kit.db, TaskState::Ready).await, depth(&kit.db, TaskState::Dead).await), (1, 1));
        for row in listed(&kit.db, TaskFilter::default()).await {
            let lost = vec![(1, AttemptOutcome::Lost)];
            assert_eq!((row.lease_until, history(&kit.db, row.id).await), (None, lost));
        }
    }

    async fn measuring_takes_one_statement(kit: Kit) {
        for number in 0..3 {
            enqueue(&kit.db, NewTask::from(task(number)).at(kit.db.now() + TimeDelta::seconds(1))).await;
            kit.clock.advance(TimeDelta::seconds(1));
        }
        let before = kit.db.statements();
        let loads = tasks::loads(&kit.db).await.unwrap();
        assert_eq!(kit.db.statements() - before, 1);
        let seen: Vec<_> = loads
            .iter()
            .map(|load| (load.queue, load.kind.as_str(), load.state, load.depth, load.oldest_at, load.due_at))
            .collect();
        assert_eq!(
            seen,
            [(
                Queue::Mail,
                Numbered::KIND,
                TaskState::Ready,
                3,
                Kit::start(),
                Kit::start() + TimeDelta::seconds(1)
            )]
        );
    }
}
