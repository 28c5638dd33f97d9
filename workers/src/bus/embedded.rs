//! The bus of a single process: it hears the commits of its own database handle, and knows when the
//! next task is due. Nothing is carried anywhere.

use async_trait::async_trait;
use domain::platform::{
    Db,
    ids::TaskId,
    outbox::Stamped,
    tasks::{self, Queue},
};
use tokio::{sync::broadcast, time::Instant};

use super::{Bus, Consumer};
use crate::pulse::{LOOK_AGAIN, Pulse};

/// Facts that a slow subscriber may be behind before it misses some: more than a full round of the relay.
const FACTS_BEHIND_MAX: usize = 4_096;

/// The in-process bus.
pub struct EmbeddedBus {
    db: Db,
    facts: broadcast::Sender<Stamped>,
}

impl EmbeddedBus {
    /// A bus over a database.
    pub fn new(db: Db) -> Self {
        Self { db, facts: broadcast::Sender::new(FACTS_BEHIND_MAX) }
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn announce(&self, _queue: Queue, tasks: &[TaskId]) {
        if !tasks.is_empty() {
            self.db.wake();
        }
    }

    fn consumer(&self, queue: Queue) -> Box<dyn Consumer> {
        Box::new(EmbeddedConsumer { db: self.db.clone(), queue, pulse: Pulse::new(&self.db) })
    }

    async fn broadcast(&self, facts: &[Stamped]) {
        for fact in facts {
            // Nobody listens: nobody misses it.
            let _receivers = self.facts.send(fact.clone());
        }
    }

    fn facts(&self) -> broadcast::Receiver<Stamped> {
        self.facts.subscribe()
    }
}

struct EmbeddedConsumer {
    db: Db,
    queue: Queue,
    pulse: Pulse,
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn wait(&mut self) {
        let asked_at = Instant::now();
        // Tasks whose worker fell silent are not "due": only a claim finds them.
        while asked_at.elapsed() < LOOK_AGAIN {
            self.pulse.before_look().await;
            let due = match tasks::next_due(&self.db, self.queue).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(queue = self.queue.name(), %error, "the queue could not be looked at");
                    None
                }
            };
            if due.is_some_and(|due| due <= self.db.now()) {
                return;
            }
            self.pulse.wait(due).await;
        }
    }
}
