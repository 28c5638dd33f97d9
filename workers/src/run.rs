//! Runs the tasks of one queue: claims them, runs each as a separate Tokio task, and records the outcome.
//!
//! A task may run more than once, because a worker can crash between the work and the update of the row. So
//! everything that a task calls must be idempotent.

use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    platform::{
        Db,
        access::Actor,
        entropy::Entropy,
        faults::{self, Point},
        ids::TaskId,
        in_tx,
        tasks::{self, AttemptFailure, AttemptOutcome, Claimed, Queue, TaskError, TaskKinds},
        trace::TraceParent,
    },
    reservations::DeskActivity,
};
use sea_orm::DbErr;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;

use crate::{
    bus::{Bus, Permit},
    loops::until,
    unknown::warn_once,
};

/// How often a worker renews the leases of its tasks. Two renewals may fail before a lease expires.
const RENEW_EVERY: Duration =
    Duration::from_millis(tasks::LEASE_SECS.unsigned_abs().saturating_mul(1_000) / 3);

/// How long postponable work waits while requests wait at the desk, before it goes on anyway.
const DESK_PATIENCE: Duration = Duration::from_millis(250);

/// The delay before a task that this version does not know is tried again.
const UNREADABLE_RETRY: Duration = Duration::from_secs(tasks::UNREADABLE_RETRY_SECS);

/// The maximum delay before the first retry of a task.
const BACKOFF_BASE_MILLIS: u64 = 1_000;
/// The maximum delay before any retry.
const BACKOFF_CAP_MILLIS: u64 = 600_000;

/// The worker of one queue.
#[derive(Clone)]
pub struct QueueWorker {
    /// The database.
    pub db: Db,
    /// Whether requests wait at the desk of this process.
    pub desk: DeskActivity,
    /// Notifies of claimable tasks.
    pub bus: Arc<dyn Bus>,
    /// The queue to work on.
    pub queue: Queue,
    /// The maximum number of concurrent tasks.
    pub concurrency: usize,
    /// The timeout of an attempt.
    pub task_time_max: Duration,
    /// The kinds of tasks to claim. Other kinds are left to other processes.
    pub kinds: TaskKinds,
}

/// A stop in two steps.
#[derive(Debug, Clone, Default)]
pub struct StopSignal {
    /// Cancelled: claim no more tasks.
    pub claiming: CancellationToken,
    /// Cancelled: hand back the tasks that still run.
    pub running: CancellationToken,
}

impl QueueWorker {
    /// Claims and runs tasks until `stop` is cancelled and the last running task has ended.
    pub async fn run(self, stop: StopSignal) {
        let worker = Arc::new(self);
        let mut consumer =
            worker.bus.consumer(worker.queue, u16::try_from(worker.concurrency).unwrap_or(u16::MAX));
        let mut running = JoinSet::new();
        let in_hand = InHand::default();
        let _renewing = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&worker).renew(in_hand.clone())));
        while !stop.claiming.is_cancelled() {
            while running.try_join_next().is_some() {}
            if worker.queue.can_wait() {
                until(&stop.claiming, worker.desk.idle(DESK_PATIENCE)).await;
            }
            let free = worker.concurrency.saturating_sub(running.len());
            // Permits are taken before the claim: one that arrives later may stand for a task that is not
            // claimed here.
            let permits = consumer.permits(free);
            match worker.claim(free).await {
                Ok(claimed) => {
                    let mut permits = permits.into_iter();
                    for task in claimed {
                        let held = in_hand.hold(task.id);
                        running.spawn(Arc::clone(&worker).attempt(
                            task,
                            held,
                            permits.next(),
                            stop.running.clone(),
                        ));
                    }
                    // Another worker claimed these tasks, or this one had claimed them earlier without a
                    // permit.
                    for needless in permits {
                        needless.done().await;
                    }
                }
                Err(error) => {
                    tracing::error!(queue = worker.queue.name(), %error, "claiming tasks failed; retrying");
                    until(&stop.claiming, tokio::time::sleep(Duration::from_secs(1))).await;
                }
            }
            tokio::select! {
                () = stop.claiming.cancelled() => {}
                Some(_) = running.join_next() => {}
                () = consumer.wait(), if running.len() < worker.concurrency => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Renews the leases of the worker's tasks until it is aborted.
    async fn renew(self: Arc<Self>, in_hand: InHand) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let ids = in_hand.ids();
            if ids.is_empty() {
                continue;
            }
            if let Err(error) = in_tx(&self.db, self.actor(), async |tx| tasks::renew(tx, ids).await).await {
                tracing::warn!(
                    queue = self.queue.name(),
                    %error,
                    "renewing leases failed; other workers may take these tasks"
                );
            }
        }
    }

    fn actor(&self) -> Actor {
        Actor::System(self.queue.name())
    }

    async fn claim(&self, free: usize) -> Result<Vec<Claimed>, DbErr> {
        let limit = u64::try_from(free).unwrap_or(0);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let claimed = in_tx(&self.db, self.actor(), async |tx| {
            tasks::claim(tx, self.queue, &self.kinds.names(), limit).await
        })
        .await?;
        if !claimed.is_empty() {
            faults::point(Point::ConsumeClaimed).await?;
        }
        Ok(claimed)
    }

    /// Runs one attempt at a task and records its outcome.
    async fn attempt(
        self: Arc<Self>,
        claimed: Claimed,
        held: InHandGuard,
        permit: Option<Permit>,
        hand_back: CancellationToken,
    ) {
        let trace = claimed.trace.clone().unwrap_or_else(|| TraceParent::start(self.db.entropy()));
        let span = tracing::info_span!(
            "task",
            queue = self.queue.name(),
            kind = claimed.kind,
            id = %claimed.id,
            attempt = claimed.attempt,
            trace_id = trace.trace_id(),
        );
        let work = async {
            let began = Instant::now();
            let ended = self.ended(&claimed, &trace, &hand_back).await;
            metrics::histogram!("smallrun_task_seconds", "queue" => self.queue.name())
                .record(began.elapsed());
            match self.settle(&claimed, &ended).await {
                Ok(true) => ended.count(&claimed),
                Ok(false) => {
                    count_end(&claimed, "overtaken");
                    tracing::warn!(
                        "another worker has taken the task over; the outcome of this attempt is dropped"
                    );
                }
                Err(error) => {
                    count_end(&claimed, "unsettled");
                    tracing::error!(
                        %error,
                        "recording the outcome failed; the task runs again when its lease expires"
                    );
                }
            }
        };
        trace.clone().scope(work).instrument(span).await;
        drop(held);
        if let Some(permit) = permit {
            permit.done().await;
            // A settled task cannot fail any more.
            let _settled_before = faults::point(Point::ConsumeAcked).await;
        }
    }

    /// Runs the attempt as a separate Tokio task, so that a panic affects only that.
    async fn ended(&self, claimed: &Claimed, trace: &TraceParent, hand_back: &CancellationToken) -> Ended {
        let (db, kinds, claimed_too) = (self.db.clone(), self.kinds.clone(), claimed.clone());
        let handling = trace.clone().scope(async move {
            kinds.run(&db, &claimed_too).await?;
            Ok(faults::point(Point::ConsumeHandled).await?)
        });
        let mut running = AbortOnDropHandle::new(tokio::spawn(handling.in_current_span()));
        let failed = AttemptFailure::new::<String>;
        let failure = tokio::select! {
            ended = &mut running => match ended {
                Ok(Ok(())) => return Ended::Done,
                Ok(Err(TaskError::Retry(error))) => failed(AttemptOutcome::Retry, chain(error.as_ref())),
                Ok(Err(TaskError::Discard(error))) => failed(AttemptOutcome::Discard, chain(error.as_ref())),
                Ok(Err(error @ TaskError::Unreadable(_))) => {
                    failed(AttemptOutcome::Unreadable, chain(&error))
                }
                Ok(Err(TaskError::Unknown { what, name })) => {
                    warn_once(what, &name);
                    return Ended::Left;
                }
                Err(error) => AttemptFailure::new(AttemptOutcome::Panic, error.to_string()),
            },
            () = tokio::time::sleep(self.task_time_max) => {
                failed(AttemptOutcome::TimedOut, format!("it took longer than {:?}", self.task_time_max))
            }
            () = hand_back.cancelled() => return Ended::HandedBack,
        };
        if failure.outcome == AttemptOutcome::Discard || claimed.is_last() {
            Ended::Dead(failure)
        } else {
            Ended::Again(failure)
        }
    }

    /// Records the outcome of an attempt. Returns `false` when another worker has taken the task over.
    async fn settle(&self, claimed: &Claimed, ended: &Ended) -> Result<bool, DbErr> {
        let (db, actor) = (&self.db, self.actor());
        match ended {
            Ended::Done => {
                let ours = in_tx(db, actor, async |tx| tasks::finish(tx, claimed).await).await?;
                faults::point(Point::ConsumeSettled).await?;
                Ok(ours)
            }
            Ended::HandedBack => {
                tracing::info!("handed the task back");
                let ours = in_tx(db, actor, async |tx| tasks::hand_back(tx, claimed).await).await?;
                // Lets another worker claim it now. If the announcement is lost, polling finds the task.
                let _not_heard_of = self.bus.announce(self.queue, 1).await;
                Ok(ours)
            }
            Ended::Left => {
                let run_at = later(db, UNREADABLE_RETRY);
                in_tx(db, actor, async |tx| tasks::leave(tx, claimed, run_at).await).await
            }
            Ended::Again(failure) => {
                let wait = match failure.outcome {
                    AttemptOutcome::Unreadable => UNREADABLE_RETRY,
                    AttemptOutcome::Retry
                    | AttemptOutcome::Discard
                    | AttemptOutcome::TimedOut
                    | AttemptOutcome::Panic
                    | AttemptOutcome::Lost => backoff(db.entropy(), claimed.attempt),
                };
                tracing::warn!(
                    outcome = failure.outcome.word(),
                    error = failure.error,
                    ?wait,
                    "task failed; retrying"
                );
                let run_at = later(db, wait);
                let ours =
                    in_tx(db, actor, async |tx| tasks::retry(tx, claimed, run_at, failure).await).await?;
                // The relay announces tasks that come due later. It may already have polled for a task that
                // is due by now.
                if ours && run_at <= db.now() {
                    let _not_heard_of = self.bus.announce(self.queue, 1).await;
                }
                Ok(ours)
            }
            Ended::Dead(failure) => {
                let (outcome, error) = (failure.outcome.word(), &failure.error);
                tracing::error!(outcome, error, "task failed for good; it is now a dead letter");
                in_tx(db, actor, async |tx| tasks::bury(tx, claimed, failure).await).await
            }
        }
    }
}

/// Returns the time after a delay.
fn later(db: &Db, wait: Duration) -> DateTime<Utc> {
    let now = db.now();
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now)
}

/// The tasks that a worker is running.
#[derive(Debug, Clone, Default)]
struct InHand(Arc<Mutex<BTreeSet<TaskId>>>);

impl InHand {
    fn locked(&self) -> MutexGuard<'_, BTreeSet<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, id: TaskId) -> InHandGuard {
        self.locked().insert(id);
        InHandGuard { id, of: self.clone() }
    }

    fn ids(&self) -> Vec<TaskId> {
        self.locked().iter().copied().collect()
    }
}

/// A running task. It is removed from [`InHand`] on drop.
struct InHandGuard {
    id: TaskId,
    of: InHand,
}

impl Drop for InHandGuard {
    fn drop(&mut self) {
        self.of.locked().remove(&self.id);
    }
}

/// The outcome of an attempt.
enum Ended {
    Done,
    /// The task is retried after a delay.
    Again(AttemptFailure),
    /// The task is a dead letter.
    Dead(AttemptFailure),
    HandedBack,
    /// The task is left to a newer version.
    Left,
}

impl Ended {
    /// Counts a recorded outcome.
    fn count(&self, claimed: &Claimed) {
        let labels = [("queue", claimed.queue.name()), ("kind", claimed.kind)];
        let failure = match self {
            Self::Done => return count_end(claimed, "done"),
            Self::HandedBack => return count_end(claimed, "handed_back"),
            Self::Left => return count_end(claimed, "left"),
            Self::Again(failure) => {
                metrics::counter!("smallrun_task_retries_total", &labels).increment(1);
                failure
            }
            Self::Dead(failure) => {
                metrics::counter!("smallrun_dead_letters_total", &labels).increment(1);
                failure
            }
        };
        count_end(claimed, failure.outcome.word());
        match failure.outcome {
            AttemptOutcome::Panic => metrics::counter!("smallrun_task_panics_total", &labels).increment(1),
            AttemptOutcome::TimedOut => {
                metrics::counter!("smallrun_task_timeouts_total", &labels).increment(1)
            }
            AttemptOutcome::Retry
            | AttemptOutcome::Discard
            | AttemptOutcome::Lost
            | AttemptOutcome::Unreadable => {}
        }
    }
}

fn count_end(claimed: &Claimed, outcome: &'static str) {
    let labels = [("queue", claimed.queue.name()), ("kind", claimed.kind), ("outcome", outcome)];
    metrics::counter!("smallrun_tasks_total", &labels).increment(1);
}

/// Joins the messages of an error and its causes into one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors already contain the message of their cause.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Returns the delay before the next attempt: "full jitter" of Brooker, "Exponential Backoff And Jitter"
/// (2015), so that tasks that failed together are not retried together.
fn backoff(entropy: &dyn Entropy, attempt: i32) -> Duration {
    full_jitter(entropy, u32::try_from(attempt).unwrap_or(0), BACKOFF_BASE_MILLIS, BACKOFF_CAP_MILLIS)
}

/// Returns a random delay of up to `base_millis` after the first failure, with the maximum doubling for each
/// further failure up to `cap_millis`.
pub(crate) fn full_jitter(
    entropy: &dyn Entropy,
    failures: u32,
    base_millis: u64,
    cap_millis: u64,
) -> Duration {
    let longest =
        2_u64.saturating_pow(failures.saturating_sub(1)).saturating_mul(base_millis).min(cap_millis);
    let mut random = [0_u8; 8];
    entropy.fill(&mut random);
    Duration::from_millis(u64::from_le_bytes(random).checked_rem(longest.saturating_add(1)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use domain::platform::entropy::SystemEntropy;

    use super::*;

    #[test]
    fn the_delay_grows_to_its_maximum_and_is_spread() {
        for (attempt, longest) in
            [(1, 1_000), (2, 2_000), (4, 8_000), (10, 512_000), (11, 600_000), (i32::MAX, 600_000)]
        {
            let waits: Vec<_> = (0..200).map(|_| backoff(&SystemEntropy, attempt)).collect();
            let longest = Duration::from_millis(longest);
            assert!(waits.iter().all(|wait| *wait <= longest), "{attempt}");
            assert!(
                waits.iter().any(|wait| *wait > longest / 2) && waits.iter().any(|wait| *wait < longest / 2),
                "{attempt}"
            );
        }
    }
}
