//! The desk: requests for the same drop that come while others are being decided are gathered, and decided
//! together next.
//!
//! A process has one [`Desk`], with a queue for each drop that somebody wants. Whoever comes first is decided
//! first. A queue is bounded in length and in waiting time: whoever would wait longer is told so at once, and
//! when to come again. Processes know nothing of each other: between them the gate of the drop, a row lock,
//! decides whose turn it is.

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
    batch::{self, Answer, Asked},
    known::Known,
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

/// The most requests that are decided together.
const BATCH_MAX: usize = 256;
/// The most lines that are decided together: what is written for them must fit into one statement.
const BATCH_LINES_MAX: usize = 512;
/// Of how many items it is kept which drop they are of.
const ITEMS_KEPT: usize = 100_000;
/// How much the newest batch counts in what a batch is expected to take.
const PACE_WEIGHT: f64 = 0.2;
/// How long a queue in which nobody waits is kept, with what its last decision knew: those who were answered
/// come again, and others come while other processes have their turn.
const LINGER: Duration = Duration::from_millis(50);
/// The longest that who is turned away is asked to wait.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(30);

/// The histogram of how many requests one transaction decided.
pub const BATCH_REQUESTS: &str = "smallrun_desk_batch_requests";
const WAITED: &str = "smallrun_desk_wait_seconds";
const BUSY: &str = "smallrun_desk_busy_total";
const WAITING: &str = "smallrun_desk_waiting";

/// The bounds of a [`Desk`].
#[derive(Debug, Clone, Copy)]
pub struct DeskSettings {
    /// The most requests that wait for one drop.
    pub queue_max: usize,
    /// The longest that a request may have to wait.
    pub wait_max: Duration,
    /// The most transactions at once, of those that the database can take: the others of its connections are
    /// for other work.
    pub transactions_max: usize,
}

impl Default for DeskSettings {
    fn default() -> Self {
        Self { queue_max: 2_000, wait_max: Duration::from_secs(2), transactions_max: 8 }
    }
}

/// Where reservations are asked for. Its copies are the same desk.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

struct Inner {
    db: Db,
    settings: DeskSettings,
    queues: Mutex<HashMap<DropId, Queue>>,
    /// Which drops items are of: that never changes.
    drops: Mutex<HashMap<DropItemId, DropId>>,
    transactions: Semaphore,
    activity: DeskActivity,
    /// What a batch has taken lately, in seconds.
    pace: Mutex<f64>,
    /// How many queues are crowded.
    crowded: AtomicUsize,
}

/// Those who wait for a drop, in the order of their coming. There is one as long as somebody waits or is
/// being decided, and a little longer.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Told when somebody comes.
    came: Arc<Notify>,
    /// How many are being decided.
    deciding: usize,
    /// Whether there is hardly room for more.
    crowded: bool,
}

struct Waiting {
    asked: Asked,
    since: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Desk {
    /// A desk over a database. Its work is done on the runtime that it is asked on.
    pub fn new(db: &Db, settings: DeskSettings) -> Self {
        // SQLite has one writer: whoever waits for it had better wait here, and be decided together.
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

    /// Holds the units of all lines, or of none: see [`reserve`](super::reserve::reserve). Requests for one
    /// drop are decided in the order of their coming. One that is given up before its turn, by dropping this
    /// future, is not decided; one whose turn has come is decided to its end.
    pub async fn reserve(
        &self,
        scope: &BuyerScope,
        request: ReserveRequest,
    ) -> Result<Reserved, OpError<ReserveRefusal>> {
        reserve::check(&request)?;
        let drops = self.drops_of(&request).await?;
        let asked = Asked::new(&self.0.db, scope, request)?;
        let (answer, mut decided) = oneshot::channel();
        let (checkout, waiting) = (asked.checkout, Waiting { asked, since: Instant::now(), answer });
        let only = if drops.len() == 1 { drops.first().copied() } else { None };
        match only {
            Some(drop) => {
                self.enqueue(drop, waiting)?;
                let turn = tokio::time::timeout(self.0.settings.wait_max, &mut decided).await;
                match turn {
                    Ok(answer) => return answer.unwrap_or_else(|_| Err(unanswered())),
                    // Whose turn has come waits for the answer, however long that takes: it may have been
                    // decided already.
                    Err(_) if self.leave(drop, checkout) => return Err(self.busy(Duration::ZERO)),
                    Err(_) => {}
                }
            }
            // Its gates are taken by a transaction of its own.
            None => {
                let desk = self.clone();
                tokio::spawn(async move { desk.alone(&drops, waiting).await });
            }
        }
        decided.await.unwrap_or_else(|_| Err(unanswered()))
    }

    /// Whether requests wait here: for background work that can be postponed.
    pub fn activity(&self) -> DeskActivity {
        self.0.activity.clone()
    }

    /// Whether somebody who wants to reserve will probably be turned away: for those who have more to do than
    /// they can, before they begin with it.
    pub fn is_crowded(&self) -> bool {
        self.0.crowded.load(Ordering::Relaxed) > 0
    }

    /// Notes how full a queue is after it has changed.
    fn look_at(&self, queue: &mut Queue) {
        let DeskSettings { queue_max, wait_max, .. } = self.0.settings;
        let wait = self.expected(queue.waiting.len().saturating_add(queue.deciding));
        let crowded = queue.waiting.len() >= queue_max.div_ceil(2) || wait > wait_max.div_f64(2.0);
        match (mem::replace(&mut queue.crowded, crowded), crowded) {
            (false, true) => self.0.crowded.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.0.crowded.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    /// Takes a request out of its queue; `false` when its turn has come.
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

    /// Turns a request away that would have to wait so long.
    fn busy(&self, wait: Duration) -> OpError<ReserveRefusal> {
        metrics::counter!(BUSY).increment(1);
        OpError::Busy(wait.clamp(Duration::from_secs(1), AGAIN_AFTER_MAX))
    }

    /// The drops of the lines.
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

    fn enqueue(&self, drop: DropId, waiting: Waiting) -> Result<(), OpError<ReserveRefusal>> {
        let mut queues = locked(&self.0.queues);
        // There is a queue as long as it is served.
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

    /// How long a request is expected to wait that has so many ahead of it: as long as their batches take,
    /// the one that is being decided among them.
    fn expected(&self, ahead: usize) -> Duration {
        let batches = f64::from(u32::try_from(ahead.div_ceil(BATCH_MAX)).unwrap_or(u32::MAX));
        Duration::try_from_secs_f64(batches * *locked(&self.0.pace)).unwrap_or(Duration::MAX)
    }

    /// Decides a drop's requests, batch after batch, until nobody waits.
    async fn serve(&self, drop: DropId) {
        let mut known = None;
        loop {
            if !self.somebody_waits(drop).await {
                return;
            }
            let Ok(turn) = self.0.transactions.acquire().await else { return };
            let desk = self.clone();
            // On its own, so that a defect in it does not stop the queue.
            let done = tokio::spawn(async move {
                desk.decide(&BTreeSet::from([drop]), || desk.next_batch(drop), known).await
            })
            .await;
            known = done.unwrap_or_else(|defect| {
                tracing::error!(%defect, "a batch of reservations ended without answers");
                // Nor will those have one who would be decided next: else the same defect might stop the
                // queue for ever.
                std::mem::drop(self.next_batch(drop));
                None
            });
            std::mem::drop(turn);
        }
    }

    /// Whether somebody waits now, or comes soon. If not, the queue has ended.
    async fn somebody_waits(&self, drop: DropId) -> bool {
        let until = tokio::time::Instant::now() + LINGER;
        loop {
            let came = {
                let mut queues = locked(&self.0.queues);
                let Some(queue) = queues.get_mut(&drop) else { return false };
                // The last batch has its answers.
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

    /// Takes those who are decided next; nobody, when all who waited are gone.
    fn next_batch(&self, drop: DropId) -> Vec<Waiting> {
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

    /// Decides a request over several drops, when there is room for its transaction.
    async fn alone(&self, drops: &BTreeSet<DropId>, waiting: Waiting) {
        let patience = self.0.settings.wait_max;
        let Ok(Ok(_turn)) = tokio::time::timeout(patience, self.0.transactions.acquire()).await else {
            let _gone = waiting.answer.send(Err(self.busy(Duration::ZERO)));
            return;
        };
        if !waiting.answer.is_closed() {
            self.decide(drops, || vec![waiting], None).await;
        }
    }

    /// Answers what is known of the drops afterwards.
    async fn decide<G>(&self, drops: &BTreeSet<DropId>, gather: G, mut known: Option<Known>) -> Option<Known>
    where
        G: FnOnce() -> Vec<Waiting> + Send,
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
            // Whoever went away meanwhile finds the reservation later, or it lapses.
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
    OpError::inconsistent("a decision that ended without an answer")
}

/// Takes the first of a queue that may be decided together. Those who are gone are left out. A caller who
/// asks the same again waits for the answer to the first asking.
fn take(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut batch: Vec<Waiting> = Vec::new();
    let mut repeats: VecDeque<Waiting> = VecDeque::new();
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

/// A lock that a panic elsewhere does not close: what it guards is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
