//! One connection to the broker, kept up: made anew with backoff when it breaks, looked after while it
//! stands.
//!
//! What hangs on a connection (channels, consumers, exclusive queues) is made anew by whoever needs it: they
//! wait for [`Link::up`]. The client library can recover these by itself, but gives up after some tries, and
//! leaves open what became of messages in flight.

use std::{pin::Pin, sync::Arc, time::Duration};

use domain::platform::entropy::Entropy;
use futures_util::{Stream, StreamExt};
use lapin::{Connection, ConnectionProperties, Event, tcp::OwnedTLSConfig, uri::AMQPUri};
use tokio::{sync::watch, time::Instant};

use super::topology;
use crate::run::full_jitter;

/// A connection that is not made in this time is tried again.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The wait before the first new try, at most.
const BACKOFF_BASE_MILLIS: u64 = 250;
/// And before any later one.
const BACKOFF_CAP_MILLIS: u64 = 5_000;
/// A connection that stood for so long starts the backoff anew.
const STOOD_LONG: Duration = Duration::from_secs(30);
/// How often the state is looked at, besides what the broker tells.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// The close of a connection is given so long to be heard.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// `reply-success` (AMQP 0-9-1, section 1.2).
const GOODBYE: u16 = 200;

/// A connection in use.
#[derive(Clone)]
pub(super) struct Up(pub(super) Arc<Connection>);

/// The connection, or none at the moment.
pub(super) type Line = watch::Receiver<Option<Up>>;

type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// How to reach the broker.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) uri: AMQPUri,
    /// Certificates, in PEM, of authorities to trust besides the usual ones.
    pub(super) authorities: Option<String>,
}

/// Keeps one connection up for as long as its task lives.
pub(super) struct Link {
    name: &'static str,
    address: Address,
    entropy: Arc<dyn Entropy>,
    up: watch::Sender<Option<Up>>,
}

impl Link {
    pub(super) fn new(name: &'static str, address: Address, entropy: Arc<dyn Entropy>) -> Self {
        Self { name, address, entropy, up: watch::Sender::new(None) }
    }

    pub(super) fn line(&self) -> Line {
        self.up.subscribe()
    }

    /// Connects, watches, and connects again.
    pub(super) async fn keep(self) {
        let mut failures = 0_u32;
        loop {
            match self.connect().await {
                Ok((connection, events)) => {
                    tracing::info!(connection = self.name, "connected to the broker");
                    metrics::counter!("smallrun_bus_connects_total", "connection" => self.name).increment(1);
                    let since = Instant::now();
                    self.up.send_replace(Some(Up(Arc::clone(&connection))));
                    let why = broken(&connection, events).await;
                    self.up.send_replace(None);
                    tracing::warn!(connection = self.name, why, "the connection to the broker is lost");
                    let _told =
                        tokio::time::timeout(CLOSE_TIMEOUT, connection.close(GOODBYE, "lost".into())).await;
                    failures = if since.elapsed() > STOOD_LONG { 0 } else { failures.saturating_add(1) };
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(
                        connection = self.name,
                        error,
                        "the broker cannot be reached; it is tried again"
                    );
                }
            }
            tokio::time::sleep(full_jitter(
                self.entropy.as_ref(),
                failures,
                BACKOFF_BASE_MILLIS,
                BACKOFF_CAP_MILLIS,
            ))
            .await;
        }
    }

    async fn connect(&self) -> Result<(Arc<Connection>, Events), String> {
        let properties =
            ConnectionProperties::default().with_connection_name(format!("smallrun {}", self.name).into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.address.authorities.clone() };
        let made = async {
            let runtime = lapin::runtime::default_runtime()?;
            let connection =
                Connection::connect_uri_with_config(self.address.uri.clone(), properties, tls, runtime)
                    .await?;
            let events: Events = Box::pin(connection.events_listener());
            topology::declare_shared(&connection.create_channel().await?).await?;
            Ok::<_, lapin::Error>((Arc::new(connection), events))
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, made).await {
            Ok(made) => made.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {CONNECT_TIMEOUT:?}")),
        }
    }
}

/// Ends a connection in an orderly way, so that what it had in hand goes to others at once.
pub(super) async fn say_goodbye(up: &Up) {
    let _told = tokio::time::timeout(CLOSE_TIMEOUT, up.0.close(GOODBYE, "stopping".into())).await;
}

/// Answers when a connection is of no use any more, and why.
async fn broken(connection: &Connection, mut events: Events) -> String {
    let mut watch = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Error(error)) => return error.to_string(),
                Some(Event::ConnectionBlocked(why)) => {
                    tracing::warn!(why, "the broker takes nothing in; work is found by looking until it does");
                }
                Some(Event::ConnectionUnblocked) => tracing::info!("the broker takes messages in again"),
                Some(_) => {}
                None => return "the connection ended".to_owned(),
            },
            _ = watch.tick() => if !connection.status().connected() {
                return "the connection ended".to_owned();
            }
        }
    }
}
