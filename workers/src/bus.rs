//! The bus: notifies workers of claimable tasks, and every process of new facts.
//!
//! The rows in the database are the source of truth. Whatever a bus loses is found by polling the database,
//! so a bus may deliver too much, too late or twice. Only latency depends on it.
//!
//! [`embedded`] is the bus of a single process, [`rabbit`] that of several. The tests in `tests/bus` hold
//! both to one contract. [`crate::projections`] reads facts without gaps on either bus.

use std::sync::Arc;

use async_trait::async_trait;
use domain::platform::{outbox::Stamped, tasks::Queue};
use tokio::sync::{broadcast, watch};

pub mod embedded;
pub mod rabbit;

/// How many facts a slow subscriber may lag behind before it misses some: more than a full batch of the
/// relay.
const FACTS_BEHIND_MAX: usize = 4_096;

/// Carries notifications from the processes that write to the workers.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Announces that `count` tasks of a queue can be claimed. Each is a permit for one claim, by any free
    /// worker.
    async fn announce(&self, queue: Queue, count: u32) -> Result<(), BusError>;

    /// Returns a consumer of one queue. It holds at most `prefetch` unfinished permits at a time.
    fn consumer(&self, queue: Queue, prefetch: u16) -> Box<dyn Consumer>;

    /// Broadcasts facts to every process, in the order of their positions.
    async fn broadcast(&self, facts: &[Stamped]) -> Result<(), BusError>;

    /// Subscribes to facts from now on. A slow reader, or a process that was cut off, misses facts. It
    /// detects that by a gap in the positions (or by `Lagged`) and must then read the table. The loop of
    /// [`crate::projections`] does both.
    fn facts(&self) -> broadcast::Receiver<Arc<Stamped>>;

    /// Changes when a transaction has created work, in this process or in another. The relay and the timers
    /// wait for it.
    fn news(&self) -> watch::Receiver<u64>;

    /// Returns the state of the bus.
    fn state(&self) -> BusState;

    /// Shuts down cleanly: permits that were delivered and not finished are redelivered to others.
    async fn close(&self);
}

/// The state of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusState {
    /// The bus works.
    Up,
    /// The broker is low on memory or disk and accepts no messages.
    Blocked,
    /// The broker is unreachable.
    Down,
}

/// The reason why a notification was not sent. The rows remain, so polling finds the work.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The broker is unreachable.
    #[error("the broker does not answer")]
    Down,
    /// The broker is low on memory or disk and accepts no messages.
    #[error("the broker is low on memory or disk and accepts no messages")]
    Blocked,
    /// The broker did not confirm the message in time.
    #[error("the broker did not confirm the message in time")]
    Unconfirmed,
    /// The broker refused the message.
    #[error("the broker refused the message: {0}")]
    Refused(String),
}

/// A consumer of one queue.
#[async_trait]
pub trait Consumer: Send {
    /// Returns when there may be tasks to claim: permits have arrived, or it is time to poll. The future may
    /// be dropped while it waits, provided that the caller polls the queue before it calls this again.
    async fn wait(&mut self);

    /// Returns the permits that have arrived, at most `max`. A task may be claimed without a permit. The
    /// caller ends a permit with [`Permit::done`] when its claim is settled or found no task.
    fn permits(&mut self, max: usize) -> Vec<Permit>;
}

/// The right to claim one task. A permit that is dropped without [`Permit::done`], as in a crash, is
/// redelivered to another worker.
pub struct Permit(pub(crate) Option<rabbit::DeliveredMessage>);

impl Permit {
    /// Ends the permit, because its claim is settled.
    pub async fn done(self) {
        if let Some(delivery) = self.0 {
            delivery.acknowledge().await;
        }
    }
}
