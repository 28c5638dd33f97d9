//! The bus: tells queues that there is something to claim, and everybody what has happened.
//!
//! The rows in the database are the truth: whatever a bus loses is found again by looking. So a bus
//! may tell too much, too late or twice, and nothing but speed is at stake.
//!
//! [`embedded`] is the bus of a single process, [`rabbit`] that of many; `tests/bus` holds both to one
//! contract. [`crate::projections`] reads facts without a gap on either.

use std::sync::Arc;

use async_trait::async_trait;
use domain::platform::{outbox::Stamped, tasks::Queue};
use tokio::sync::{broadcast, watch};

pub mod embedded;
pub mod rabbit;

/// Facts that a slow subscriber may be behind before it misses some: more than a full round of the relay.
const FACTS_BEHIND_MAX: usize = 4_096;

/// What carries news between those who write and those who work.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Says that so many tasks of a queue may be claimed: each is a permit for one claim, by whichever worker
    /// is free.
    async fn announce(&self, queue: Queue, count: u32) -> Result<(), BusError>;

    /// A consumer of one queue that is handed at most `prefetch` permits before it is done with the first.
    fn consumer(&self, queue: Queue, prefetch: u16) -> Box<dyn Consumer>;

    /// Tells every process what has happened, in the order of positions.
    async fn broadcast(&self, facts: &[Stamped]) -> Result<(), BusError>;

    /// What has happened from now on. A reader that is too slow, or whose process was cut off, misses facts:
    /// it sees that by their positions (or by `Lagged`), and reads the table. The loop of
    /// [`crate::projections`] does both.
    fn facts(&self) -> broadcast::Receiver<Arc<Stamped>>;

    /// Changes when a transaction left work behind, in this process or in another: what relay and timers wait
    /// on.
    fn news(&self) -> watch::Receiver<u64>;

    /// How it stands.
    fn state(&self) -> BusState;

    /// Ends in an orderly way: permits that were handed out and are not done with go to others.
    async fn close(&self);
}

/// How a bus stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusState {
    /// It carries.
    Up,
    /// The broker is short of memory or of disk and takes nothing in.
    Blocked,
    /// The broker does not answer.
    Down,
}

/// Why news was not carried. The rows stay, so whoever looks finds the work.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The broker does not answer.
    #[error("the broker does not answer")]
    Down,
    /// The broker takes nothing in.
    #[error("the broker is short of memory or of disk and takes nothing in")]
    Blocked,
    /// The broker did not say in time that it has the message.
    #[error("the broker did not confirm in time")]
    Unconfirmed,
    /// The broker refused the message.
    #[error("the broker refused the message: {0}")]
    Refused(String),
}

/// One queue's ear.
#[async_trait]
pub trait Consumer: Send {
    /// Returns when there may be something to claim: there are permits, or it is time to look in any case. It
    /// may be dropped while it waits, provided that the queue is looked at before it is asked again.
    async fn wait(&mut self);

    /// The permits that have come in, at most `max`. A task may be claimed without one; a permit is given
    /// back with [`Permit::done`] once the claim that it stood for is settled, or found nothing.
    fn permits(&mut self, max: usize) -> Vec<Permit>;
}

/// The right to claim one task. Dropped without [`Permit::done`], as in a crash, another worker gets it in
/// time.
pub struct Permit(pub(crate) Option<rabbit::Delivery>);

impl Permit {
    /// Ends it: what it stood for is settled.
    pub async fn done(self) {
        if let Some(delivery) = self.0 {
            delivery.acknowledge().await;
        }
    }
}
