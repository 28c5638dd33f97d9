//! Publishing with confirms: many messages are on their way at once, and each is answered for.
//!
//! One by one a broker confirms some hundred messages a second; with a window, some ten thousand.

use std::{future::Future, pin::Pin, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    super::BusError,
    link::{Line, Up},
};

/// Messages on their way at once. At 256 the broker is near its best; more only makes the wait longer.
const WINDOW: usize = 512;
/// A message that the socket does not take in this time is given up: the broker has stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// And one that is not confirmed in this time: less than half of the relay's lease, which must not run out
/// over a broker that has fallen silent.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// AMQP 0-9-1, basic properties: 2 is kept on disk, 1 is not.
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// A message to be published.
pub(super) struct Outgoing {
    pub(super) exchange: &'static str,
    pub(super) routing_key: String,
    pub(super) body: Vec<u8>,
    /// Whether it must survive a restart of the broker.
    pub(super) persistent: bool,
    /// Who sends it, for receivers that skip their own.
    pub(super) sender: Option<String>,
    pub(super) confirmed: oneshot::Sender<Result<(), BusError>>,
}

/// Hands messages to the loop that publishes them.
#[derive(Clone)]
pub(super) struct Publisher(mpsc::Sender<Outgoing>);

impl Publisher {
    /// A publisher, and the loop that must be run for it.
    pub(super) fn new(line: Line) -> (Self, impl Future<Output = ()> + Send) {
        let (send, receive) = mpsc::channel(WINDOW);
        (Self(send), publish(line, receive))
    }

    /// Publishes; answers when the broker has the message.
    pub(super) async fn publish(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<(), BusError>>) -> Outgoing,
    ) -> Result<(), BusError> {
        let (confirmed, confirmation) = oneshot::channel();
        self.0.send(message(confirmed)).await.map_err(|_| BusError::Down)?;
        match tokio::time::timeout(CONFIRM_TIMEOUT, confirmation).await {
            Ok(confirmation) => confirmation.unwrap_or(Err(BusError::Down)),
            Err(_) => Err(BusError::Unconfirmed),
        }
    }
}

type Pending = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn publish(mut line: Line, mut messages: mpsc::Receiver<Outgoing>) {
    loop {
        let Some(up) = wait_for(&mut line, &mut messages).await else { return };
        match open(&up).await {
            Ok(channel) => {
                if !use_channel(&up, &channel, &mut line, &mut messages).await {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "no channel to publish on"),
        }
        // The link notices by itself; until then messages are refused rather than kept waiting.
        if line.has_changed().is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn open(up: &Up) -> lapin::Result<Channel> {
    let channel = up.0.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// The connection as soon as there is one; whoever wants to publish before that is told at once. `None`:
/// nobody will any more.
async fn wait_for(line: &mut Line, messages: &mut mpsc::Receiver<Outgoing>) -> Option<Up> {
    loop {
        if let Some(up) = line.borrow_and_update().clone() {
            return Some(up);
        }
        tokio::select! {
            changed = line.changed() => changed.ok()?,
            message = messages.recv() => drop(message?.confirmed.send(Err(BusError::Down))),
        }
    }
}

/// Publishes until the channel is of no use; answers whether anybody may still want to publish.
async fn use_channel(
    up: &Up,
    channel: &Channel,
    line: &mut Line,
    messages: &mut mpsc::Receiver<Outgoing>,
) -> bool {
    let mut on_their_way: FuturesUnordered<Pending> = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = on_their_way.next() => {}
            changed = line.changed() => return changed.is_ok(),
            message = messages.recv(), if on_their_way.len() < WINDOW => {
                let Some(message) = message else { return false };
                match send(up, channel, message).await {
                    Some(pending) => on_their_way.push(pending),
                    None if channel.status().connected() => {}
                    None => return true,
                }
            }
        }
    }
}

/// Sends one message; answers what to wait for, or nothing when it did not go out and its sender has been
/// told.
async fn send(up: &Up, channel: &Channel, message: Outgoing) -> Option<Pending> {
    let confirmed = message.confirmed;
    if up.0.status().blocked() {
        drop(confirmed.send(Err(BusError::Blocked)));
        return None;
    }
    let mode = if message.persistent { PERSISTENT } else { TRANSIENT };
    let mut properties =
        BasicProperties::default().with_delivery_mode(mode).with_content_type("application/json".into());
    if let Some(sender) = message.sender {
        properties = properties.with_app_id(sender.into());
    }
    // A message to a queue that is gone comes back instead of vanishing; to an exchange, nobody may be
    // listening.
    let options =
        BasicPublishOptions { mandatory: message.exchange.is_empty(), ..BasicPublishOptions::default() };
    let sent = channel.basic_publish(
        message.exchange.into(),
        message.routing_key.into(),
        options,
        &message.body,
        properties,
    );
    match tokio::time::timeout(WRITE_TIMEOUT, sent).await {
        Ok(Ok(confirm)) => Some(Box::pin(async move {
            drop(confirmed.send(judge(confirm.await)));
        })),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a message did not go out");
            drop(confirmed.send(Err(BusError::Down)));
            None
        }
        Err(_) => {
            drop(confirmed.send(Err(BusError::Blocked)));
            None
        }
    }
}

fn judge(confirmation: lapin::Result<Confirmation>) -> Result<(), BusError> {
    match confirmation {
        Ok(Confirmation::Ack(None)) => Ok(()),
        Ok(Confirmation::Ack(Some(returned))) => Err(BusError::Refused(returned.reply_text.to_string())),
        Ok(Confirmation::Nack(_)) => Err(BusError::Refused("not taken in".to_owned())),
        Ok(Confirmation::NotRequested) => Err(BusError::Refused("the channel does not confirm".to_owned())),
        Err(_) => Err(BusError::Down),
    }
}
