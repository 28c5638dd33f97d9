//! The bus: tells queues that there is something to claim, and everybody what has happened.
//!
//! The rows in the database are the truth: whatever a bus loses is found again by looking. So a bus
//! may tell too much, too late or twice, and nothing but speed is at stake.

use async_trait::async_trait;
use domain::platform::{ids::TaskId, outbox::Stamped, tasks::Queue};
use tokio::sync::broadcast;

pub mod embedded;

/// What carries news between those who write and those who work.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Says that these tasks of a queue may be claimed.
    async fn announce(&self, queue: Queue, tasks: &[TaskId]);

    /// A consumer of one queue.
    fn consumer(&self, queue: Queue) -> Box<dyn Consumer>;

    /// Tells every process what has happened, in the order of positions.
    async fn broadcast(&self, facts: &[Stamped]);

    /// What has happened from now on. A reader that is too slow misses facts, sees that by their
    /// positions (or by `Lagged`), and reads the table.
    fn facts(&self) -> broadcast::Receiver<Stamped>;
}

/// One queue's ear.
#[async_trait]
pub trait Consumer: Send {
    /// Returns when there may be something to claim. It may be dropped while it waits without losing news,
    /// provided that the queue is looked at before it is asked again.
    async fn wait(&mut self);
}
