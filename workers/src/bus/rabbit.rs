//! The bus of several processes: RabbitMQ.
//!
//! A task queue is a quorum queue of permits. The broker confirms each permit, and the worker acknowledges it
//! when the task that it claimed is settled. Facts and news are fanned out to one queue per process, which is
//! deleted with the process's connection. Publishing and consuming use separate connections: a broker that is
//! low on memory stops reading from publishing connections, and acknowledgements must still get through.
//!
//! - [`topology`]: the declared exchanges and queues.
//! - [`link`]: a connection that reconnects.
//! - [`publisher`] and [`consumer`]: the two directions.
//! - [`live`]: facts and news.

mod consumer;
mod link;
mod live;
mod publisher;
mod topology;

use std::{str::FromStr, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::platform::{Db, outbox::Stamped, tasks::Queue};
use lapin::uri::AMQPUri;
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};

pub use consumer::DeliveredMessage;

use super::{Bus, BusError, BusState, Consumer, FACTS_BEHIND_MAX};
use consumer::RabbitConsumer;
use link::{BrokerAddress, ConnectionKeeper, ConnectionWatch};
use publisher::{Outgoing, Publisher};

/// The heartbeat interval in seconds. A peer that is silent for twice as long is considered dead. A URL can
/// override it (`?heartbeat=30`).
const HEARTBEAT_SECS: u16 = 10;
/// The maximum number of permits of one announcement. Workers that are further behind claim without waiting
/// for permits.
const ANNOUNCED_MAX: u32 = 1_000;
/// News within this time is sent once.
const NEWS_GAP: Duration = Duration::from_millis(10);

/// The broker's URL: `amqp://USER:PASSWORD@HOST:5672/VHOST`, or `amqps://`.
#[derive(Clone)]
pub struct RabbitUrl(AMQPUri);

impl FromStr for RabbitUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut uri = AMQPUri::from_str(text)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECS);
        Ok(Self(uri))
    }
}

/// Omits the password.
impl std::fmt::Debug for RabbitUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let authority = &self.0.authority;
        write!(
            f,
            "{}:***@{}:{}/{}",
            authority.userinfo.username, authority.host, authority.port, self.0.vhost
        )
    }
}

/// The bus on RabbitMQ.
pub struct RabbitBus {
    publisher: Publisher,
    lines: Lines,
    facts: broadcast::Sender<Arc<Stamped>>,
    news: watch::Sender<u64>,
    running: std::sync::Mutex<JoinSet<()>>,
}

impl RabbitBus {
    /// Starts to connect in the background, and reconnects whenever a connection breaks. The broker need not
    /// be up yet. `authorities` are PEM certificates to trust in addition to the system's.
    pub fn start(db: &Db, url: RabbitUrl, authorities: Option<String>) -> Self {
        let address = BrokerAddress { uri: url.0, authorities };
        let link = |name| {
            ConnectionKeeper::new(name, address.clone(), Arc::new(domain::platform::entropy::SystemEntropy))
        };
        let (publish, consume) = (link("publishing"), link("consuming"));
        let (publishing, consuming) = (publish.line(), consume.line());
        let (publisher, publishes) = Publisher::new(publish.line());
        let facts = broadcast::Sender::new(FACTS_BEHIND_MAX);
        let news = watch::Sender::new(0);
        // Identifies this process, so that it ignores its own news.
        let me = db.entropy().uuid(db.now()).simple().to_string();
        let mut running = JoinSet::new();
        running.spawn(publish.keep());
        running.spawn(consume.keep());
        running.spawn(publishes);
        running.spawn(live::receive(consuming.clone(), me.clone(), facts.clone(), news.clone()));
        running.spawn(tell_news(db.clone(), me, publisher.clone(), news.clone()));
        let lines = Lines { publishing, consuming };
        Self { publisher, lines, facts, news, running: std::sync::Mutex::new(running) }
    }
}

#[async_trait]
impl Bus for RabbitBus {
    async fn announce(&self, queue: Queue, count: u32) -> Result<(), BusError> {
        let permits = (0..count.min(ANNOUNCED_MAX)).map(|_| {
            self.publisher.publish(|confirmed| Outgoing {
                exchange: "",
                routing_key: topology::name_of(queue),
                body: b"{}".to_vec(),
                persistent: true,
                sender: None,
                confirmed,
            })
        });
        futures_util::future::try_join_all(permits).await.map(drop)
    }

    fn consumer(&self, queue: Queue, prefetch: u16) -> Box<dyn Consumer> {
        Box::new(RabbitConsumer::new(self.lines.clone(), topology::name_of(queue), prefetch))
    }

    async fn broadcast(&self, facts: &[Stamped]) -> Result<(), BusError> {
        if facts.is_empty() {
            return Ok(());
        }
        let body = live::written(facts).map_err(|error| BusError::Refused(error.to_string()))?;
        let message = |confirmed| Outgoing {
            exchange: topology::FACTS,
            routing_key: String::new(),
            body,
            persistent: false,
            sender: None,
            confirmed,
        };
        self.publisher.publish(message).await
    }

    fn facts(&self) -> broadcast::Receiver<Arc<Stamped>> {
        self.facts.subscribe()
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    fn state(&self) -> BusState {
        self.lines.state()
    }

    async fn close(&self) {
        // The tasks are stopped first, because they would reconnect.
        self.running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).abort_all();
        for line in [&self.lines.publishing, &self.lines.consuming] {
            let up = line.borrow().clone();
            if let Some(up) = up {
                link::say_goodbye(&up).await;
            }
        }
    }
}

/// The two connections.
#[derive(Clone)]
struct Lines {
    publishing: ConnectionWatch,
    consuming: ConnectionWatch,
}

impl Lines {
    fn state(&self) -> BusState {
        let publishing = self.publishing.borrow().clone();
        match publishing {
            Some(up) if up.0.status().blocked() => BusState::Blocked,
            Some(_) if self.consuming.borrow().is_some() => BusState::Up,
            Some(_) | None => BusState::Down,
        }
    }
}

/// Sends news of this process's commits: directly to this process, and through the broker to others.
async fn tell_news(db: Db, me: String, publisher: Publisher, news: watch::Sender<u64>) {
    let mut commits = db.commits();
    while commits.changed().await.is_ok() {
        news.send_modify(|count| *count = count.wrapping_add(1));
        let sender = Some(me.clone());
        let message = |confirmed| Outgoing {
            exchange: topology::NEWS,
            routing_key: String::new(),
            body: b"{}".to_vec(),
            persistent: false,
            sender,
            confirmed,
        };
        // A process that misses the news polls every second anyway.
        if let Err(error) = publisher.publish(message).await {
            tracing::debug!(%error, "news was not published");
        }
        tokio::time::sleep(NEWS_GAP).await;
    }
}
