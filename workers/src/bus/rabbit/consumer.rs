//! Consumes the permits of one queue, with a limit on how many are delivered and unfinished.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::{
    Acker,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::{BusState, Consumer, Permit},
    Lines,
    link::{ConnectionWatch, Up},
};
use crate::pulse::LOOK_AGAIN;

/// The polling interval while the broker works. Polling then only has to find what was lost: tasks whose
/// worker died, and permits lost between a commit and the broker.
const LOOK_AGAIN_WHEN_UP: Duration = Duration::from_secs(5);
/// The delay before a channel is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(500);

/// A delivered message.
pub struct DeliveredMessage(Acker);

impl DeliveredMessage {
    pub(in super::super) async fn acknowledge(self) {
        // Without the acknowledgement the permit is redelivered, and its claim finds nothing.
        if let Err(error) = self.0.ack(BasicAckOptions::default()).await {
            tracing::debug!(%error, "a permit was not acknowledged");
        }
    }
}

pub(super) struct RabbitConsumer {
    lines: Lines,
    arrived: mpsc::Receiver<Permit>,
    waiting: Vec<Permit>,
    _receiving: AbortOnDropHandle<()>,
}

impl RabbitConsumer {
    pub(super) fn new(lines: Lines, queue: String, prefetch: u16) -> Self {
        let (send, arrived) = mpsc::channel(usize::from(prefetch.max(1)));
        let receiving =
            AbortOnDropHandle::new(tokio::spawn(receive(lines.consuming.clone(), queue, prefetch, send)));
        Self { lines, arrived, waiting: Vec::new(), _receiving: receiving }
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn wait(&mut self) {
        if !self.waiting.is_empty() {
            return;
        }
        let longest = match self.lines.state() {
            BusState::Up => LOOK_AGAIN_WHEN_UP,
            BusState::Blocked | BusState::Down => LOOK_AGAIN,
        };
        if let Ok(Some(permit)) = tokio::time::timeout(longest, self.arrived.recv()).await {
            self.waiting.push(permit);
        }
    }

    fn permits(&mut self, max: usize) -> Vec<Permit> {
        while let Ok(permit) = self.arrived.try_recv() {
            self.waiting.push(permit);
        }
        let taken = self.waiting.len().min(max);
        self.waiting.drain(..taken).collect()
    }
}

/// Receives permits until the consumer is dropped, reconnecting as needed.
async fn receive(mut line: ConnectionWatch, queue: String, prefetch: u16, permits: mpsc::Sender<Permit>) {
    loop {
        let up = line.borrow_and_update().clone();
        if let Some(up) = up {
            if let Err(error) = receive_on(&up, &mut line, &queue, prefetch, &permits).await {
                tracing::warn!(queue, %error, "receiving permits failed; retrying");
            }
            if permits.is_closed() {
                return;
            }
            tokio::time::sleep(OPEN_AGAIN).await;
        } else if line.changed().await.is_err() {
            return;
        }
    }
}

async fn receive_on(
    up: &Up,
    line: &mut ConnectionWatch,
    queue: &str,
    prefetch: u16,
    permits: &mpsc::Sender<Permit>,
) -> lapin::Result<()> {
    let channel = up.0.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut deliveries =
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    loop {
        tokio::select! {
            delivery = deliveries.next() => match delivery {
                Some(Ok(delivery)) => {
                    if permits.send(Permit(Some(DeliveredMessage(delivery.acker)))).await.is_err() {
                        return Ok(());
                    }
                }
                Some(Err(error)) => return Err(error),
                // The broker cancelled the consumer: the queue was deleted or moved to another node.
                None => return Ok(()),
            },
            changed = line.changed() => if changed.is_err() || line.borrow().is_none() {
                return Ok(());
            }
        }
    }
}
