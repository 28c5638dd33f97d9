//! Publishing with confirms: many messages are in flight at once, and each of them is confirmed.
//!
//! A broker confirms some hundreds of messages per second one at a time, and some ten thousand with a window.

use std::{future::Future, pin::Pin, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    super::BusError,
    link::{ConnectionWatch, Up},
};

/// The maximum number of messages in flight. The throughput is close to its maximum at 256; a larger window
/// only adds latency.
const WINDOW: usize = 512;
/// The timeout of writing a message to the socket. Beyond it, the broker has stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout of a confirmation: less than half of the relay's lease, which must not expire because a broker
/// does not answer.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(2);
/// AMQP 0-9-1, basic properties, delivery mode: 2 is persistent, 1 is not.
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// A message to publish.
pub(super) struct Outgoing {
    pub(super) exchange: &'static str,
    pub(super) routing_key: String,
    pub(super) body: Vec<u8>,
    /// Whether the message must survive a restart of the broker.
    pub(super) persistent: bool,
    /// The sending process, so that it can ignore its own messages.
    pub(super) sender: Option<String>,
    pub(super) confirmed: oneshot::Sender<Result<(), BusError>>,
}

/// Sends messages to the loop that publishes them.
#[derive(Clone)]
pub(super) struct Publisher(mpsc::Sender<Outgoing>);

impl Publisher {
    /// Creates a publisher, and the loop that the caller must run for it.
    pub(super) fn new(line: ConnectionWatch) -> (Self, impl Future<Output = ()> + Send) {
        let (send, receive) = mpsc::channel(WINDOW);
        (Self(send), publish(line, receive))
    }

    /// Publishes a message, and returns when the broker has confirmed it.
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

async fn publish(mut line: ConnectionWatch, mut messages: mpsc::Receiver<Outgoing>) {
    loop {
        let Some(up) = wait_for(&mut line, &mut messages).await else { return };
        match open(&up).await {
            Ok(channel) => {
                if !use_channel(&up, &channel, &mut line, &mut messages).await {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "the publishing channel could not be opened"),
        }
        // The link detects a broken connection by itself. Until then messages are refused, so that callers do
        // not wait.
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

/// Waits for a connection and refuses all messages meanwhile. Returns `None` when there will be no more
/// messages.
async fn wait_for(line: &mut ConnectionWatch, messages: &mut mpsc::Receiver<Outgoing>) -> Option<Up> {
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

/// Publishes until the channel becomes unusable. Returns whether more messages may come.
async fn use_channel(
    up: &Up,
    channel: &Channel,
    line: &mut ConnectionWatch,
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

/// Sends one message. Returns the pending confirmation, or `None` if sending failed and the caller was
/// notified.
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
    // A message to a queue that does not exist must be returned instead of dropped. A message to an exchange
    // may have no receiver.
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
            tracing::debug!(%error, "a message was not sent");
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
        Ok(Confirmation::Nack(_)) => Err(BusError::Refused("negative acknowledgement".to_owned())),
        Ok(Confirmation::NotRequested) => {
            Err(BusError::Refused("the channel is not in confirm mode".to_owned()))
        }
        Err(_) => Err(BusError::Down),
    }
}
