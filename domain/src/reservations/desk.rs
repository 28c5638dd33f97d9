//! The desk: queues requests to reserve by drop, and decides them in batches. Requests that arrive while a
//! batch is being decided join the next one.
//!
//! A process has one [`Desk`], with a queue for each drop that has requests. A queue is first in, first out.
//! It is bounded in length and in waiting time: a request that would wait too long is refused at once with
//! [`OpError::Busy`], which states when to retry. Processes do not coordinate their queues. Between them, the
//! gate of the drop, a row lock, decides the order.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::DbBackend;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::{
    DeskActivity,
    batch::{self, ReserveJob, ReserveResult},
    known::DecisionCache,
    lines::LINES_MAX,
    reserve::{self, ReserveRefusal, ReserveRequest, Reserved},
};
use crate::{
    drops::item_row,
    platform::{
        Db, OpError,
        access::BuyerScope,
        ids::{CheckoutId, DropId, DropItemId},
    },
};

/// The maximum number of requests in a batch.
const BATCH_MAX: usize = 256;
/// The maximum number of lines in a batch. All rows of a batch must fit into one statement.
const BATCH_LINES_MAX: usize = 512;
/// The maximum number of items whose drops are cached.
const ITEMS_KEPT: usize = 100_000;
/// The weight of the newest batch in the moving average of how long a batch takes.
const PACE_WEIGHT: f64 = 0.2;
/// How long an empty queue is kept, with the state that its last batch left. Callers that were answered often
/// send another request, and requests arrive while other processes hold the gate.
const LINGER: Duration = Duration::from_millis(50);
/// The maximum time that a refused caller is asked to wait before it retries.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);

/// The histogram of the number of requests in a batch.
pub const BATCH_REQUESTS: &str = "smallrun_desk_batch_requests";
const WAITED: &str = "smallrun_desk_wait_seconds";
const BUSY: &str = "smallrun_desk_busy_total";
const WAITING: &str = "smallrun_desk_waiting";

/// The bounds of a [`Desk`].
#[derive(Debug, Clone, Copy)]
pub struct DeskSettings {
    /// The maximum number of requests that wait for one drop.
    pub queue_max: usize,
    /// The maximum time that a request may wait.
    pub wait_max: Duration,
    /// The maximum number of concurrent transactions of the desk. The remaining database connections are left
    /// to other work.
    pub transactions_max: usize,
}

impl Default for DeskSettings {
    fn default() -> Self {
        Self { queue_max: 2_000, wait_max: Duration::from_secs(2), transactions_max: 8 }
    }
}

/// The desk, which takes requests to reserve. Clones share one state.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    db: Db,
    settings: DeskSettings,
    queues: Mutex<HashMap<DropId, DropQueue>>,
    /// A cache of the items' drops, which never change.
    drops: Mutex<HashMap<DropItemId, DropId>>,
    transactions: Semaphore,
    activity: DeskActivity,
    /// The moving average of how long a batch takes, in seconds.
    pace: Mutex<f64>,
    /// The number of crowded queues.
    crowded: AtomicUsize,
}

/// The requests that wait for a drop, in order of arrival. A queue exists while requests wait or are being
/// decided, and for [`LINGER`] afterwards.
#[derive(Default)]
struct DropQueue {
    waiting: VecDeque<WaitingRequest>,
    /// Notified when a request arrives.
    came: Arc<Notify>,
    /// The number of requests that are being decided.
    deciding: usize,
    /// Whether the queue is crowded: see [`Desk::is_crowded`].
    crowded: bool,
}

struct WaitingRequest {
    asked: ReserveJob,
    since: Instant,
    answer: oneshot::Sender<ReserveResult>,
}

impl Desk {
    /// Creates a desk for a database. Its tasks run on the runtime on which it is called.
    pub fn new(db: &Db, settings: DeskSettings) -> Self {
        // SQLite has a single writer, so requests that would wait for it wait here instead and are decided
        // together.
        let at_once = if db.backend() == DbBackend::Sqlite { 1 } else { settings.transactions_max.max(1) };
        Self(Arc::new(Inner {
            db: db.clone(),
            settings,
            queues: Mutex::default(),
            drops: Mutex::default(),
            transactions: Semaphore::new(at_once),
            activity: DeskActivity::default(),
            pace: Mutex::new(0.0),
            crowded: AtomicUsize::new(0),
        }))
    }

    /// Holds the units of all lines or of none: see [`reserve`](super::reserve::reserve). Requests for one
    /// drop are decided in order of arrival. If this future is dropped while the request still waits, the
    /// request is not decided. A request whose decision has started is decided to its end.
    pub async fn reserve(
        &self,
        scope: &BuyerScope,
        request: ReserveRequest,
    ) -> Result<Reserved, OpError<ReserveRefusal>> {
        reserve::check(&request)?;
        let drops = self.drops_of(&request).await?;
        let asked = ReserveJob::new(&self.0.db, scope, request)?;
        let (answer, mut decided) = oneshot::channel();
        let (checkout, waiting) = (asked.checkout, WaitingRequest { asked, since: Instant::now(), answer });
        let only = if drops.len() == 1 { drops.first().copied() } else { None };
        match only {
            Some(drop) => {
                self.enqueue(drop, waiting)?;
                let turn = tokio::time::timeout(self.0.settings.wait_max, &mut decided).await;
                match turn {
                    Ok(answer) => return answer.unwrap_or_else(|_| Err(unanswered())),
                    // The decision has started and may already be made, so the caller waits for the answer,
                    // however long it takes.
                    Err(_) if self.leave(drop, checkout) => return Err(self.busy(Duration::ZERO)),
                    Err(_) => {}
                }
            }
            // A request over several drops takes its gates in a transaction of its own.
            None => {
                let desk = self.clone();
                tokio::spawn(async move { desk.alone(&drops, waiting).await });
            }
        }
        decided.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Returns the handle that shows whether requests wait at this desk, for background work that can be
    /// postponed.
    pub fn activity(&self) -> DeskActivity {
        self.0.activity.clone()
    }

    /// Whether a queue is so full that a new request would probably be refused soon. Callers can use this to
    /// shed load before they start expensive work.
    pub fn is_crowded(&self) -> bool {
        self.0.crowded.load(Ordering::Relaxed) > 0
    }

    /// Updates whether a queue is crowded, after it has changed.
    fn look_at(&self, queue: &mut DropQueue) {
        let DeskSettings { queue_max, wait_max, .. } = self.0.settings;
        let wait = self.expected(queue.waiting.len().saturating_add(queue.deciding));
        let crowded = queue.waiting.len() >= queue_max.div_ceil(2) || wait > wait_max.div_f64(2.0);
        match (mem::replace(&mut queue.crowded, crowded), crowded) {
            (false, true) => self.0.crowded.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.0.crowded.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    /// Removes a request from its queue. Returns `false` if its decision has started.
    fn leave(&self, drop: DropId, checkout: CheckoutId) -> bool {
        let mut queues = locked(&self.0.queues);
        let Some(queue) = queues.get_mut(&drop) else { return false };
        let before = queue.waiting.len();
        queue.waiting.retain(|waiting| waiting.asked.checkout != checkout);
        let left = queue.waiting.len() < before;
        if left {
            metrics::gauge!(WAITING).decrement(1.0);
            self.look_at(queue);
        }
        left
    }

    /// Counts a refused request and returns the refusal, with the expected wait.
    fn busy(&self, wait: Duration) -> OpError<ReserveRefusal> {
        metrics::counter!(BUSY).increment(1);
        OpError::Busy(wait.clamp(Duration::from_secs(1), AGAIN_AFTER_MAX))
    }

    /// Returns the drops of a request's lines.
    async fn drops_of(&self, request: &ReserveRequest) -> Result<BTreeSet<DropId>, OpError<ReserveRefusal>> {
        let items: BTreeSet<DropItemId> = request.lines.iter().map(|line| line.item).collect();
        let mut known: HashMap<DropItemId, DropId> = {
            let drops = locked(&self.0.drops);
            items.iter().filter_map(|item| Some((*item, *drops.get(item)?))).collect()
        };
        let unknown: Vec<DropItemId> = items.into_iter().filter(|item| !known.contains_key(item)).collect();
        if !unknown.is_empty() {
            let found = item_row::drops_of(self.0.db.reader(), &unknown).await?;
            let mut drops = locked(&self.0.drops);
            if drops.len().saturating_add(found.len()) > ITEMS_KEPT {
                drops.clear();
            }
            drops.extend(&found);
            known.extend(found);
        }
        reserve::drops_in(request, &known)
    }

    fn enqueue(&self, drop: DropId, waiting: WaitingRequest) -> Result<(), OpError<ReserveRefusal>> {
        let mut queues = locked(&self.0.queues);
        // A queue exists as long as a task serves it.
        let begins = !queues.contains_key(&drop);
        let queue = queues.entry(drop).or_default();
        let ahead = queue.waiting.len().saturating_add(queue.deciding);
        let wait = self.expected(ahead);
        if queue.waiting.len() >= self.0.settings.queue_max || wait > self.0.settings.wait_max {
            return Err(self.busy(wait));
        }
        queue.waiting.push_back(waiting);
        queue.came.notify_one();
        self.look_at(queue);
        metrics::gauge!(WAITING).increment(1.0);
        if begins {
            self.0.activity.set_busy(true);
            let desk = self.clone();
            tokio::spawn(async move { desk.serve(drop).await });
        }
        Ok(())
    }

    /// Returns how long a request with `ahead` requests before it is expected to wait: as long as their
    /// batches take, including the batch that is being decided.
    fn expected(&self, ahead: usize) -> Duration {
        let batches = f64::from(u32::try_from(ahead.div_ceil(BATCH_MAX)).unwrap_or(u32::MAX));
        Duration::try_from_secs_f64(batches * *locked(&self.0.pace)).unwrap_or(Duration::MAX)
    }

    /// Decides a drop's requests, batch by batch, until its queue ends.
    async fn serve(&self, drop: DropId) {
        let mut known = None;
        loop {
            if !self.somebody_waits(drop).await {
                return;
            }
            let Ok(turn) = self.0.transactions.acquire().await else { return };
            let desk = self.clone();
            // The batch runs in a task of its own, so that a panic in it does not stop the queue.
            let done = tokio::spawn(async move {
                desk.decide(&BTreeSet::from([drop]), || desk.next_batch(drop), known).await
            })
            .await;
            known = done.unwrap_or_else(|defect| {
                tracing::error!(%defect, "a batch of reservations panicked; its callers get an error");
                // The next batch is dropped too. Otherwise the same panic could block the queue forever.
                std::mem::drop(self.next_batch(drop));
                None
            });
            std::mem::drop(turn);
        }
    }

    /// Waits until a request waits, for up to [`LINGER`]. If none arrives, ends the queue and returns
    /// `false`.
    async fn somebody_waits(&self, drop: DropId) -> bool {
        let now = tokio::time::Instant::now();
        let until = now.checked_add(LINGER).unwrap_or(now);
        loop {
            let came = {
                let mut queues = locked(&self.0.queues);
                let Some(queue) = queues.get_mut(&drop) else { return false };
                // The last batch has been answered.
                queue.deciding = 0;
                self.look_at(queue);
                if !queue.waiting.is_empty() {
                    return true;
                }
                if tokio::time::Instant::now() >= until {
                    queues.remove(&drop);
                    if queues.is_empty() {
                        self.0.activity.set_busy(false);
                    }
                    return false;
                }
                Arc::clone(&queue.came)
            };
            let _or_time_is_up = tokio::time::timeout_at(until, came.notified()).await;
        }
    }

    /// Takes the next batch from a queue. It is empty if all callers have left.
    fn next_batch(&self, drop: DropId) -> Vec<WaitingRequest> {
        let mut queues = locked(&self.0.queues);
        let Some(queue) = queues.get_mut(&drop) else { return Vec::new() };
        let before = queue.waiting.len();
        let batch = take(&mut queue.waiting);
        queue.deciding = batch.len();
        self.look_at(queue);
        let taken = before.saturating_sub(queue.waiting.len());
        metrics::gauge!(WAITING).decrement(f64::from(u32::try_from(taken).unwrap_or(u32::MAX)));
        batch
    }

    /// Decides a request over several drops, once a transaction is available.
    async fn alone(&self, drops: &BTreeSet<DropId>, waiting: WaitingRequest) {
        let patience = self.0.settings.wait_max;
        let Ok(Ok(_turn)) = tokio::time::timeout(patience, self.0.transactions.acquire()).await else {
            let _gone = waiting.answer.send(Err(self.busy(Duration::ZERO)));
            return;
        };
        if !waiting.answer.is_closed() {
            self.decide(drops, || vec![waiting], None).await;
        }
    }

    /// Decides the requests that `gather` returns, and sends the answers. Returns the state of the drops
    /// afterwards, if it is known.
    async fn decide<G>(
        &self,
        drops: &BTreeSet<DropId>,
        gather: G,
        mut known: Option<DecisionCache>,
    ) -> Option<DecisionCache>
    where
        G: FnOnce() -> Vec<WaitingRequest> + Send,
    {
        let began = Instant::now();
        let mut answers = Vec::new();
        let gather = || {
            let batch = gather();
            metrics::histogram!(BATCH_REQUESTS)
                .record(f64::from(u32::try_from(batch.len()).unwrap_or(u32::MAX)));
            let asked = batch.into_iter().map(|waiting| {
                metrics::histogram!(WAITED).record(waiting.since.elapsed());
                answers.push(waiting.answer);
                waiting.asked
            });
            asked.collect()
        };
        let decided = batch::decide_all(&self.0.db, drops, gather, &mut known).await;
        self.note_pace(began.elapsed().as_secs_f64());
        for (caller, answer) in answers.into_iter().zip(decided) {
            // A caller that has left finds the checkout later, or its hold lapses.
            let _gone = caller.send(answer);
        }
        known
    }

    fn note_pace(&self, secs: f64) {
        let mut pace = locked(&self.0.pace);
        *pace = if *pace == 0.0 { secs } else { *pace * (1.0 - PACE_WEIGHT) + secs * PACE_WEIGHT };
    }
}

fn unanswered() -> OpError<ReserveRefusal> {
    OpError::inconsistent("a decision ended without an answer")
}

/// Takes the first requests of a queue, up to the size of a batch. Requests whose callers have left are
/// skipped. A repeated request (same caller, same key) stays in the queue until the first one is answered.
fn take(waiting: &mut VecDeque<WaitingRequest>) -> Vec<WaitingRequest> {
    let mut batch: Vec<WaitingRequest> = Vec::new();
    let mut repeats: VecDeque<WaitingRequest> = VecDeque::new();
    let mut lines = 0_usize;
    while let Some(next) = waiting.pop_front() {
        if next.answer.is_closed() {
            continue;
        }
        let more = lines.saturating_add(next.asked.request.lines.len().min(LINES_MAX));
        if batch.len() == BATCH_MAX || more > BATCH_LINES_MAX {
            waiting.push_front(next);
            break;
        }
        if batch.iter().any(|earlier| earlier.asked.repeats(&next.asked)) {
            repeats.push_back(next);
            continue;
        }
        lines = more;
        batch.push(next);
    }
    repeats.append(waiting);
    *waiting = mem::take(&mut repeats);
    batch
}

/// Locks a mutex and ignores poisoning: the guarded data is consistent between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
