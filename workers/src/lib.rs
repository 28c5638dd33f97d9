//! Background work: the relay, the bus, timers, and the task queues.
//!
//! - [`relay`]: stamps facts, queues the letters that follow from them, and seals the audit log.
//! - [`timers`]: turns due timers into tasks.
//! - [`announce`]: announces queued tasks on the [`bus`], which wakes the workers.
//! - [`run`]: runs the tasks of one queue. [`domain::registry`] lists the kinds of tasks.
//! - [`mail`] and [`payments`]: ports that tasks use.
//! - [`projections`]: keeps projections up to date with the facts.
//! - [`reconcile`]: repairs missed work.
//! - [`housekeeping`]: deletes expired rows.
//!
//! Architecture invariant: all state is in rows of the database. Each of these may stop at any time, or run
//! in several processes at once, and no work is lost or done twice.

use std::{future::Future, sync::Arc, time::Duration};

use domain::{
    payments::gateways::Gateways,
    platform::{
        Db,
        mail::{LinkBase, Mailer},
        projections::Projection,
        sweep::Sweep,
        tasks::{Queue, TASK_SECS_MAX, TaskKinds},
    },
    registry::{self, Ports},
    reservations::DeskActivity,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod announce;
pub mod bus;
mod gauges;
pub mod housekeeping;
mod loops;
pub mod mail;
pub mod payments;
pub mod projections;
mod pulse;
pub mod reconcile;
pub mod relay;
pub mod run;
mod sealing;
pub mod timers;
mod unknown;

pub use loops::Loops;

use bus::Bus;
use run::{QueueWorker, StopSignal};

/// The dependencies of the workers.
pub struct WorkerDeps {
    /// The database.
    pub db: Db,
    /// Whether requests wait at this process's desk. Work that can be postponed lets them go first.
    pub desk: DeskActivity,
    /// Sends letters.
    pub mailer: Arc<dyn Mailer>,
    /// The gateways of this deployment, each with its rate limit ([`payments::Budgeted`]).
    pub gateways: Gateways,
    /// What housekeeping sweeps in addition to the tables of the capabilities.
    pub sweeps: Vec<Arc<dyn Sweep>>,
    /// The base URL of links in letters.
    pub links: LinkBase,
    /// Kinds of tasks in addition to those of [`registry::tasks`], such as the background work of a gateway.
    pub tasks: TaskKinds,
    /// The queues to work on, each with its number of concurrent tasks. Other queues are left to other
    /// processes.
    pub queues: Vec<(Queue, usize)>,
}

/// The workers of a process.
pub struct Workers;

impl Workers {
    /// Starts all workers on the current runtime.
    pub fn start(bus: &Arc<dyn Bus>, deps: WorkerDeps) -> WorkersHandle {
        let mut handle = WorkersHandle::over(bus);
        let db = &deps.db;
        let ports = Ports { gateways: deps.gateways, mailer: deps.mailer, links: deps.links };
        let kinds = registry::tasks(ports).and(deps.tasks);
        for (queue, concurrency) in &deps.queues {
            handle.queue(db, &deps.desk, *queue, *concurrency, &kinds);
        }
        handle.keep("relay", {
            let (db, bus, desk) = (db.clone(), Arc::clone(bus), deps.desk);
            move |stop| relay::run(db.clone(), Arc::clone(&bus), desk.clone(), stop)
        });
        handle.keep("announce", {
            let (db, bus) = (db.clone(), Arc::clone(bus));
            move |stop| announce::run(db.clone(), Arc::clone(&bus), stop)
        });
        handle.keep("timers", {
            let (db, bus) = (db.clone(), Arc::clone(bus));
            move |stop| timers::run(db.clone(), Arc::clone(&bus), stop)
        });
        handle.keep("housekeeping", {
            let (db, others) = (db.clone(), deps.sweeps);
            move |stop| housekeeping::run(db.clone(), others.clone(), stop)
        });
        handle.keep("reconcile", {
            let db = db.clone();
            move |stop| reconcile::run(db.clone(), stop)
        });
        handle.keep("gauges", {
            let (db, bus) = (db.clone(), Arc::clone(bus));
            move |stop| gauges::run(db.clone(), Arc::clone(&bus), kinds.names(), stop)
        });
        handle
    }

    /// Starts what a process without workers needs: the loop that announces the tasks that it queues.
    pub fn announcing(bus: &Arc<dyn Bus>, db: &Db) -> WorkersHandle {
        let mut handle = WorkersHandle::over(bus);
        handle.keep("announce", {
            let (db, bus) = (db.clone(), Arc::clone(bus));
            move |stop| announce::run(db.clone(), Arc::clone(&bus), stop)
        });
        handle
    }
}

/// Running workers. If this is dropped without [`WorkersHandle::stop`], they are aborted, as in a crash.
pub struct WorkersHandle {
    bus: Arc<dyn Bus>,
    stop: StopSignal,
    loops: Loops,
    looping: JoinSet<()>,
}

/// The part of the time of a stop in which running tasks may finish. The rest is for handing back the others.
const DRAIN_PERCENT: u32 = 80;

impl WorkersHandle {
    fn over(bus: &Arc<dyn Bus>) -> Self {
        Self {
            bus: Arc::clone(bus),
            stop: StopSignal::default(),
            loops: Loops::default(),
            looping: JoinSet::new(),
        }
    }

    /// Starts the loop of a projection. It receives the facts of all processes.
    pub fn add_projection(&mut self, db: &Db, projection: Arc<dyn Projection>) {
        let (db, bus, name) = (db.clone(), Arc::clone(&self.bus), projection.name());
        self.keep(name, move |stop| {
            projections::run(db.clone(), Arc::clone(&bus), Arc::clone(&projection), stop)
        });
    }

    /// Returns the states of the loops, for health checks.
    pub fn loops(&self) -> Loops {
        self.loops.clone()
    }

    /// Stops the workers: claims no more tasks, lets running tasks finish, and hands back those that take
    /// longer than four fifths of `within`. Returns when all loops have ended or `within` is over.
    pub async fn stop(mut self, within: Duration) {
        self.stop.claiming.cancel();
        let running = self.stop.running.clone();
        let drain = within.saturating_mul(DRAIN_PERCENT).checked_div(100).unwrap_or(within);
        let hand_back = async move {
            tokio::time::sleep(drain).await;
            running.cancel();
            std::future::pending::<()>().await;
        };
        let all_still = async { while self.looping.join_next().await.is_some() {} };
        let ended = tokio::time::timeout(within, async {
            tokio::select! {
                () = all_still => {}
                () = hand_back => {}
            }
        });
        if ended.await.is_err() {
            tracing::warn!("workers did not stop in time; their tasks run again when the leases expire");
        }
        self.bus.close().await;
    }

    fn queue(&mut self, db: &Db, desk: &DeskActivity, queue: Queue, concurrency: usize, kinds: &TaskKinds) {
        let worker = QueueWorker {
            db: db.clone(),
            desk: desk.clone(),
            bus: Arc::clone(&self.bus),
            queue,
            concurrency,
            task_time_max: Duration::from_secs(TASK_SECS_MAX),
            kinds: kinds.clone(),
        };
        let stop = self.stop.clone();
        self.keep(queue.name(), move |_| worker.clone().run(stop.clone()));
    }

    fn keep<F, Fut>(&mut self, name: &'static str, start: F)
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.claiming.clone();
        self.looping.spawn(loops::keep(name, self.loops.clone(), stop.clone(), move || start(stop.clone())));
    }
}
