//! What happens later: the relay, the bus, timers, and one module a queue of tasks.
//!
//! [`relay`] stamps facts and queues what follows from them by the table [`reactions`], and seals the audit log; [`timers`]
//! turns what is due into tasks; [`announce`] tells the [`bus`] of tasks, which wakes whoever runs them: [`run`] does, a queue at a time
//! ([`mail`], [`payments`], `reservations`, `sandbox`, `imports`). [`projections`] keeps up with the facts
//! whatever is made of them; [`reconcile`] repairs what was missed; [`housekeeping`] clears away.
//! [`personal_data`] lists what the program holds of persons.
//!
//! Architecture invariant: a row in the database is the only memory. Any of these may stop at any
//! instant, or run in several processes at once, and nothing is lost or done twice.

use std::{future::Future, sync::Arc, time::Duration};

use ::payments::Sandbox;
use domain::{
    payments::gateway::PaymentGateway,
    platform::{
        Db,
        mail::Mailer,
        projections::Projection,
        tasks::{Claimed, Queue},
    },
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub mod announce;
pub mod bus;
pub mod failure;
mod gauges;
pub mod housekeeping;
mod imports;
mod loops;
pub mod mail;
pub mod payments;
pub mod personal_data;
pub mod projections;
mod pulse;
pub mod reactions;
pub mod reconcile;
pub mod relay;
mod reservations;
pub mod run;
mod sandbox;
mod sealing;
pub mod timers;

pub use failure::TaskError;
pub use loops::Loops;
pub use mail::LinkBase;

use bus::Bus;
use run::{Handler, QueueWorker, Stop, TASK_SECS_MAX};

/// What the workers work with.
pub struct WorkerDeps {
    /// The database.
    pub db: Db,
    /// Sends letters.
    pub mailer: Arc<dyn Mailer>,
    /// The gateways of this deployment.
    pub gateways: Vec<Arc<dyn PaymentGateway>>,
    /// The sandbox, when it is among the gateways.
    pub sandbox: Option<Arc<Sandbox>>,
    /// What the links in letters begin with.
    pub links: LinkBase,
    /// Calls to each gateway a second, of all processes together.
    pub gateway_calls_per_second: u32,
    /// Which queues are worked on here, and how many tasks of each at once; queues that are missing are left to others.
    pub queues: Vec<(Queue, usize)>,
}

/// The workers of a process.
pub struct Workers;

/// How many tasks of a queue one process runs at once, unless it is told otherwise. Payments wait for a gateway on the network, most
/// others for the database, which on SQLite has one writer.
pub fn concurrency(queue: Queue) -> usize {
    match queue {
        Queue::Payments => 16,
        Queue::Reservations | Queue::Sandbox => 8,
        Queue::Mail => 4,
        // Each writes all the time.
        Queue::Imports => 2,
    }
}

impl Workers {
    /// Starts everything on the present runtime, over a bus.
    pub fn start(bus: &Arc<dyn Bus>, deps: WorkerDeps) -> WorkersHandle {
        let mut handle = WorkersHandle::over(bus);
        let db = &deps.db;
        let gateways = payments::Gateways::new(db, &deps.gateways, deps.gateway_calls_per_second);
        for (queue, concurrency) in &deps.queues {
            let handler: Arc<dyn Handler> = match queue {
                Queue::Payments => Arc::new(payments::PaymentsQueue { db: db.clone(), gateways: gateways.clone() }),
                Queue::Reservations => Arc::new(reservations::ReservationsQueue { db: db.clone(), gateways: gateways.clone() }),
                Queue::Mail => {
                    let (mailer, links) = (Arc::clone(&deps.mailer), deps.links.clone());
                    Arc::new(mail::MailQueue { db: db.clone(), mailer, links })
                }
                Queue::Sandbox => match &deps.sandbox {
                    Some(sandbox) => Arc::new(sandbox::SandboxQueue { sandbox: Arc::clone(sandbox) }),
                    None => continue,
                },
                Queue::Imports => Arc::new(imports::ImportsQueue { db: db.clone() }),
            };
            handle.queue(db, *queue, *concurrency, handler);
        }
        handle.keep("relay", {
            let (db, bus) = (db.clone(), Arc::clone(bus));
            move |stop| relay::run(db.clone(), Arc::clone(&bus), stop)
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
            let (db, sandbox) = (db.clone(), deps.sandbox);
            move |stop| housekeeping::run(db.clone(), sandbox.clone(), stop)
        });
        handle.keep("reconcile", {
            let db = db.clone();
            move |stop| reconcile::run(db.clone(), stop)
        });
        handle.keep("gauges", {
            let (db, bus) = (db.clone(), Arc::clone(bus));
            move |stop| gauges::run(db.clone(), Arc::clone(&bus), stop)
        });
        handle
    }

    /// Starts only what a process without workers needs: to announce the tasks that it queues.
    pub fn announcing(bus: &Arc<dyn Bus>, db: &Db) -> WorkersHandle {
        let mut handle = WorkersHandle::over(bus);
        handle.keep("announce", {
            let (db, bus) = (db.clone(), Arc::clone(bus));
            move |stop| announce::run(db.clone(), Arc::clone(&bus), stop)
        });
        handle
    }
}

/// Running workers. Dropped without [`WorkersHandle::stop`], they end where they stand, as in a crash.
pub struct WorkersHandle {
    bus: Arc<dyn Bus>,
    stop: Stop,
    loops: Loops,
    looping: JoinSet<()>,
}

/// The part of the time of a stop in which running tasks may end; the rest is for handing back those that did not.
const DRAIN_PERCENT: u32 = 80;

impl WorkersHandle {
    fn over(bus: &Arc<dyn Bus>) -> Self {
        Self { bus: Arc::clone(bus), stop: Stop::default(), loops: Loops::default(), looping: JoinSet::new() }
    }

    /// Keeps a projection up with the facts from now on, whichever process makes them true.
    pub fn add_projection(&mut self, db: &Db, projection: Arc<dyn Projection>) {
        let (db, bus, name) = (db.clone(), Arc::clone(&self.bus), projection.name());
        self.keep(name, move |stop| projections::run(db.clone(), Arc::clone(&bus), Arc::clone(&projection), stop));
    }

    /// How the loops are: for whoever asks whether this process is of use.
    pub fn loops(&self) -> Loops {
        self.loops.clone()
    }

    /// Claims nothing more, lets running tasks end, hands back those that take longer than four fifths of
    /// `within`, and answers when all is still or `within` is over.
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
            tracing::warn!("workers did not end in time; what they had in hand runs again elsewhere");
        }
        self.bus.close().await;
    }

    fn queue(&mut self, db: &Db, queue: Queue, concurrency: usize, handler: Arc<dyn Handler>) {
        let worker = QueueWorker {
            db: db.clone(),
            bus: Arc::clone(&self.bus),
            queue,
            concurrency,
            task_time_max: Duration::from_secs(TASK_SECS_MAX),
            handler,
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

/// A task on a queue that is not its own: a defect, for which another attempt is no cure.
fn misplaced(claimed: &Claimed) -> TaskError {
    TaskError::discard(format!("the task {} is on the wrong queue", claimed.task.kind()))
}
