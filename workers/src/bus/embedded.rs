//! The bus of a single process. It is notified of commits by its own database handle and sends nothing over
//! the network.

use std::sync::Arc;

use async_trait::async_trait;
use domain::platform::{Db, outbox::Stamped, tasks::Queue};
use tokio::sync::{broadcast, watch};

use super::{Bus, BusError, BusState, Consumer, FACTS_BEHIND_MAX, Permit};
use crate::pulse::LOOK_AGAIN;

/// The in-process bus.
pub struct EmbeddedBus {
    db: Db,
    facts: broadcast::Sender<Arc<Stamped>>,
    queues: [watch::Sender<()>; Queue::ALL.len()],
}

impl EmbeddedBus {
    /// Creates a bus over a database.
    pub fn new(db: Db) -> Self {
        let queues = std::array::from_fn(|_| watch::Sender::new(()));
        Self { db, facts: broadcast::Sender::new(FACTS_BEHIND_MAX), queues }
    }

    fn of(&self, queue: Queue) -> Option<&watch::Sender<()>> {
        Queue::ALL.iter().position(|known| *known == queue).and_then(|at| self.queues.get(at))
    }
}

#[async_trait]
impl Bus for EmbeddedBus {
    async fn announce(&self, queue: Queue, count: u32) -> Result<(), BusError> {
        if count > 0
            && let Some(queue) = self.of(queue)
        {
            queue.send_replace(());
        }
        Ok(())
    }

    fn consumer(&self, queue: Queue, _prefetch: u16) -> Box<dyn Consumer> {
        Box::new(EmbeddedConsumer { announced: self.of(queue).map(watch::Sender::subscribe) })
    }

    async fn broadcast(&self, facts: &[Stamped]) -> Result<(), BusError> {
        if self.facts.receiver_count() > 0 {
            for fact in facts {
                let _receivers = self.facts.send(Arc::new(fact.clone()));
            }
        }
        Ok(())
    }

    fn facts(&self) -> broadcast::Receiver<Arc<Stamped>> {
        self.facts.subscribe()
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.db.commits()
    }

    fn state(&self) -> BusState {
        BusState::Up
    }

    async fn close(&self) {}
}

struct EmbeddedConsumer {
    announced: Option<watch::Receiver<()>>,
}

#[async_trait]
impl Consumer for EmbeddedConsumer {
    async fn wait(&mut self) {
        let announced = async {
            let heard = match &mut self.announced {
                Some(announced) => announced.changed().await.is_ok(),
                None => false,
            };
            if !heard {
                std::future::pending::<()>().await;
            }
        };
        // Nothing announces a task whose worker died: only polling finds it.
        let _elapsed = tokio::time::timeout(LOOK_AGAIN, announced).await;
    }

    fn permits(&mut self, _max: usize) -> Vec<Permit> {
        Vec::new()
    }
}
