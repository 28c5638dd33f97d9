//! The bus of many processes: RabbitMQ.
//!
//! A task queue is a quorum queue of permits, each confirmed by the broker and acknowledged once the task
//! that it let somebody claim is settled; facts and news are fanned out to a queue of each process that goes
//! with its connection. Publishing and consuming have a connection each, because a broker that is short of
//! memory stops reading from those that publish, and acknowledgements must get through.
//!
//! [`topology`] what is declared; [`link`] a connection, kept up; [`publisher`] and [`consumer`] the two
//! directions; [`live`] facts and news.

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

pub use consumer::Delivery;

use super::{Bus, BusError, BusState, Consumer, FACTS_BEHIND_MAX};
use consumer::RabbitConsumer;
use link::{Address, Line, Link};
use publisher::{Outgoing, Publisher};

/// A peer that is silent for twice as long is gone, in seconds; a URL may say otherwise (`?heartbeat=30`).
const HEARTBEAT_SECS: u16 = 10;
/// An announcement of more than this many tasks is cut: workers that are so far behind claim without waiting
/// for permits.
const ANNOUNCED_MAX: u32 = 1_000;
/// News within this time is one piece of news.
const NEWS_GAP: Duration = Duration::from_millis(10);

/// Where the broker is: `amqp://USER:PASSWORD@HOST:5672/VHOST`, or `amqps://`.
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

/// Without the password.
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

/// RabbitMQ as the bus.
pub struct RabbitBus {
    publisher: Publisher,
    lines: Lines,
    facts: broadcast::Sender<Arc<Stamped>>,
    news: watch::Sender<u64>,
    running: std::sync::Mutex<JoinSet<()>>,
}

impl RabbitBus {
    /// Connects in the background, and again whenever the connection breaks: it may be made before the broker
    /// is up. `authorities` are certificates, in PEM, to trust besides the usual ones.
    pub fn start(db: &Db, url: RabbitUrl, authorities: Option<String>) -> Self {
        let address = Address { uri: url.0, authorities };
        let link =
            |name| Link::new(name, address.clone(), Arc::new(domain::platform::entropy::SystemEntropy));
        let (publish, consume) = (link("publishing"), link("consuming"));
        let (publishing, consuming) = (publish.line(), consume.line());
        let (publisher, publishes) = Publisher::new(publish.line());
        let facts = broadcast::Sender::new(FACTS_BEHIND_MAX);
        let news = watch::Sender::new(0);
        // Which process this is, so that it does not hear its own news twice.
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
        // First, or they would be made anew.
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
    publishing: Line,
    consuming: Line,
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

/// Passes on that this process left work behind: to itself at once, to others by the broker.
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
        // Whoever does not hear of it looks every second in any case.
        if let Err(error) = publisher.publish(message).await {
            tracing::debug!(%error, "news did not go out");
        }
        tokio::time::sleep(NEWS_GAP).await;
    }
}
