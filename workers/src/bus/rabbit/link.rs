//! One connection to the broker. It is monitored, and re-established with backoff when it breaks.
//!
//! Channels, consumers and exclusive queues are recreated by their users, which wait for the next connection
//! on a [`ConnectionWatch`]. The client library can recover these by itself, but it gives up after some
//! attempts and leaves the fate of messages in flight unknown.

use std::{pin::Pin, sync::Arc, time::Duration};

use domain::platform::entropy::Entropy;
use futures_util::{Stream, StreamExt};
use lapin::{Connection, ConnectionProperties, Event, tcp::OwnedTLSConfig, uri::AMQPUri};
use tokio::{sync::watch, time::Instant};

use super::topology;
use crate::run::full_jitter;

/// The timeout of an attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum delay before the first reconnect.
const BACKOFF_BASE_MILLIS: u64 = 250;
/// The maximum delay before any later reconnect.
const BACKOFF_CAP_MILLIS: u64 = 5_000;
/// A connection that was up for longer than this resets the backoff.
const STOOD_LONG: Duration = Duration::from_secs(30);
/// How often the connection's state is polled, in addition to the events of the client library.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// The timeout of closing a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// `reply-success` (AMQP 0-9-1, section 1.2).
const GOODBYE: u16 = 200;

/// An open connection.
#[derive(Clone)]
pub(super) struct Up(pub(super) Arc<Connection>);

/// The current connection, if there is one.
pub(super) type ConnectionWatch = watch::Receiver<Option<Up>>;

type ConnectionEvents = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// The address of the broker.
#[derive(Clone)]
pub(super) struct BrokerAddress {
    pub(super) uri: AMQPUri,
    /// PEM certificates of authorities to trust in addition to the system's.
    pub(super) authorities: Option<String>,
}

/// Keeps one connection up until its task is aborted.
pub(super) struct ConnectionKeeper {
    name: &'static str,
    address: BrokerAddress,
    entropy: Arc<dyn Entropy>,
    up: watch::Sender<Option<Up>>,
}

impl ConnectionKeeper {
    pub(super) fn new(name: &'static str, address: BrokerAddress, entropy: Arc<dyn Entropy>) -> Self {
        Self { name, address, entropy, up: watch::Sender::new(None) }
    }

    pub(super) fn line(&self) -> ConnectionWatch {
        self.up.subscribe()
    }

    /// Connects, monitors the connection, and reconnects when it is lost.
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
                    tracing::warn!(connection = self.name, why, "lost the connection to the broker");
                    let _told =
                        tokio::time::timeout(CLOSE_TIMEOUT, connection.close(GOODBYE, "lost".into())).await;
                    failures = if since.elapsed() > STOOD_LONG { 0 } else { failures.saturating_add(1) };
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!(connection = self.name, error, "the broker is unreachable; retrying");
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

    async fn connect(&self) -> Result<(Arc<Connection>, ConnectionEvents), String> {
        let properties =
            ConnectionProperties::default().with_connection_name(format!("smallrun {}", self.name).into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.address.authorities.clone() };
        let made = async {
            let runtime = lapin::runtime::default_runtime()?;
            let connection =
                Connection::connect_uri_with_config(self.address.uri.clone(), properties, tls, runtime)
                    .await?;
            let events: ConnectionEvents = Box::pin(connection.events_listener());
            topology::declare_shared(&connection.create_channel().await?).await?;
            Ok::<_, lapin::Error>((Arc::new(connection), events))
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, made).await {
            Ok(made) => made.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {CONNECT_TIMEOUT:?}")),
        }
    }
}

/// Closes a connection cleanly, so that its unacknowledged messages are redelivered immediately.
pub(super) async fn say_goodbye(up: &Up) {
    let _told = tokio::time::timeout(CLOSE_TIMEOUT, up.0.close(GOODBYE, "stopping".into())).await;
}

/// Returns when a connection has become unusable, with the reason.
async fn broken(connection: &Connection, mut events: ConnectionEvents) -> String {
    let mut watch = tokio::time::interval(WATCH_EVERY);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Error(error)) => return error.to_string(),
                Some(Event::ConnectionBlocked(why)) => {
                    tracing::warn!(why, "the broker accepts no messages; workers poll until it does");
                }
                Some(Event::ConnectionUnblocked) => tracing::info!("the broker accepts messages again"),
                Some(_) => {}
                None => return "the connection ended".to_owned(),
            },
            _ = watch.tick() => if !connection.status().connected() {
                return "the connection ended".to_owned();
            }
        }
    }
}
