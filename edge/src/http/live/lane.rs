//! The outgoing messages of a WebSocket. The server polls the response body when the connection can take more
//! bytes. Only then is the next message produced, from the newest state.

use std::{
    cell::RefCell,
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_http::ws::{CloseReason, Codec, Message};
use actix_web::web::{Bytes, BytesMut};
use futures_util::{
    Stream,
    future::{AbortHandle, Abortable, LocalBoxFuture},
    stream::FuturesUnordered,
};
use tokio::sync::Notify;
use tokio_util::codec::Encoder;

use super::{
    message::{self, Close},
    operate::OpenOperation,
};
use crate::live::runs::{SubscriptionEnd, SubscriptionMessage};

/// The bytes produced by one poll, from as many messages as are ready. They are written by one system call.
const CHUNK: usize = 16 * 1024;

/// The most queries and mutations of one socket that run or whose answers wait to be sent. Answers can be
/// large, so this bounds the memory of a client that does not read. The reader waits before it starts more.
const ONCE_MAX: usize = 4;

/// The lane of one socket, shared by its reader and its response body.
#[derive(Clone)]
pub(super) struct Lane(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    codec: Codec,
    /// Pending messages besides those of operations, at most one of each kind.
    acknowledge: bool,
    pong: bool,
    frame_ping: bool,
    frame_pong: Option<Bytes>,
    close: Option<Close>,
    /// The close frame was sent: nothing may follow it.
    is_closed: bool,
    /// The connection ends after the close frame.
    ends: bool,
    /// Nobody reads the outgoing bytes any more.
    is_gone: bool,
    operations: HashMap<String, Entry>,
    /// How many of them are queries or mutations.
    once: usize,
    /// Notified when another query or mutation may start.
    room: Rc<Notify>,
    waiting: FuturesUnordered<Abortable<LocalBoxFuture<'static, OperationTurn>>>,
    body: Option<Waker>,
}

/// An operation that has not ended.
struct Entry {
    abort: AbortHandle,
    is_once: bool,
}

/// The next result of an operation.
struct OperationTurn {
    id: String,
    told: SubscriptionMessage,
    /// `None` when nothing runs, because the operation was refused.
    running: Option<OpenOperation>,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self(Rc::default())
    }

    /// Changes the state and wakes the body.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let (changed, body) = {
            let mut inner = self.0.borrow_mut();
            (change(&mut inner), inner.body.take())
        };
        if let Some(body) = body {
            body.wake();
        }
        changed
    }

    pub(super) fn acknowledge(&self) {
        self.change(|lane| lane.acknowledge = true);
    }

    /// Queues a pong. One pong answers all pings received before it is sent.
    pub(super) fn pong(&self) {
        self.change(|lane| lane.pong = true);
    }

    /// Queues a pong frame for the newest ping frame (RFC 6455, section 5.5.3).
    pub(super) fn frame_pong(&self, content: Bytes) {
        self.change(|lane| lane.frame_pong = Some(content));
    }

    pub(super) fn frame_ping(&self) {
        self.change(|lane| lane.frame_ping = true);
    }

    /// Queues the close frame and ends all operations.
    pub(super) fn close(&self, close: Close) {
        metrics::counter!("smallrun_live_closed_total", "code" => close.code.to_string()).increment(1);
        self.change(|lane| {
            lane.end_all();
            lane.close = Some(close);
        });
    }

    /// Ends the connection after the close frame, because the client has sent its own.
    pub(super) fn finish(&self) {
        self.change(|lane| lane.ends = true);
    }

    /// Ends all operations and the body.
    pub(super) fn gone(&self) {
        self.change(|lane| {
            lane.end_all();
            lane.is_gone = true;
        });
    }

    /// Returns whether the connection is lost.
    pub(super) fn is_gone(&self) -> bool {
        self.0.borrow().is_gone
    }

    /// Returns whether an operation of this id is running.
    pub(super) fn runs(&self, id: &str) -> bool {
        self.0.borrow().operations.contains_key(id)
    }

    /// Returns the number of operations, including those whose end has not been sent.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().operations.len()
    }

    /// Returns whether another operation of any kind may start now.
    pub(super) fn has_room(&self) -> bool {
        let lane = self.0.borrow();
        // On a lost connection nobody may be kept waiting.
        lane.is_gone || lane.once < ONCE_MAX
    }

    /// Waits until another operation may start.
    pub(super) async fn room(&self) {
        let room = Rc::clone(&self.0.borrow().room);
        while !self.has_room() {
            room.notified().await;
        }
    }

    /// Sends the results of a running operation.
    pub(super) fn begin(&self, id: String, mut running: OpenOperation) {
        let (name, is_once) = (id.clone(), running.is_once());
        self.add(
            name,
            is_once,
            Box::pin(async move {
                let told = running.next().await;
                OperationTurn { id, told, running: Some(running) }
            }),
        );
    }

    /// Sends the refusal of an operation.
    pub(super) fn refuse(&self, id: String, told: SubscriptionMessage) {
        let name = id.clone();
        self.add(name, false, Box::pin(async move { OperationTurn { id, told, running: None } }));
    }

    fn add(&self, id: String, is_once: bool, turn: LocalBoxFuture<'static, OperationTurn>) {
        self.change(|lane| {
            let (abort, registration) = AbortHandle::new_pair();
            lane.once = lane.once.saturating_add(usize::from(is_once));
            lane.operations.insert(id, Entry { abort, is_once });
            lane.waiting.push(Abortable::new(turn, registration));
        });
    }

    /// Ends an operation that the client has completed.
    pub(super) fn end(&self, id: &str) {
        self.change(|lane| {
            if let Some(abort) = lane.forget(id) {
                abort.abort();
            }
        });
    }

    /// Returns the response body.
    pub(super) fn body(&self) -> Body {
        Body(self.clone())
    }
}

impl Inner {
    fn end_all(&mut self) {
        self.operations.clear();
        self.once = 0;
        self.room.notify_one();
        self.waiting.clear();
    }

    fn forget(&mut self, id: &str) -> Option<AbortHandle> {
        let Entry { abort, is_once } = self.operations.remove(id)?;
        if is_once {
            self.once = self.once.saturating_sub(1);
            self.room.notify_one();
        }
        Some(abort)
    }

    fn text(&mut self, text: String, out: &mut BytesMut) {
        self.frame(Message::Text(text.into()), out);
    }

    fn frame(&mut self, message: Message, out: &mut BytesMut) {
        // Encoding fails for invalid continuation frames only, which are never sent.
        if let Err(error) = self.codec.encode(message, out) {
            tracing::error!(%error, "frame could not be written");
        }
    }

    /// Writes the result of an operation, and polls the operation again unless it has ended.
    fn write(&mut self, turn: OperationTurn, out: &mut BytesMut) {
        let OperationTurn { id, told: SubscriptionMessage { answer, end }, running } = turn;
        match (answer, end) {
            (Some(errors), Some(SubscriptionEnd::Refused)) => self.text(message::error(&id, &errors), out),
            (answer, end) => {
                if let Some(answer) = answer {
                    metrics::counter!("smallrun_live_values_total", "transport" => "websocket").increment(1);
                    self.text(message::next(&id, &answer), out);
                }
                // When the process stops, the operation has not ended: the client resumes it on another
                // server.
                if matches!(end, Some(SubscriptionEnd::Over | SubscriptionEnd::Refused)) {
                    self.text(message::complete(&id), out);
                }
            }
        }
        match (end, running) {
            (None, Some(mut running)) => {
                let Some(entry) = self.operations.get_mut(&id) else { return };
                let (again, registration) = AbortHandle::new_pair();
                entry.abort = again;
                let turn: LocalBoxFuture<'static, OperationTurn> = Box::pin(async move {
                    let told = running.next().await;
                    OperationTurn { id, told, running: Some(running) }
                });
                self.waiting.push(Abortable::new(turn, registration));
            }
            _ => drop(self.forget(&id)),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_gone || (self.is_closed && self.ends) {
            return Poll::Ready(None);
        }
        let mut out = BytesMut::new();
        if let Some(Close { code, reason }) = self.close.take() {
            let description = (!reason.is_empty()).then_some(reason);
            self.frame(Message::Close(Some(CloseReason { code: code.into(), description })), &mut out);
            self.is_closed = true;
            return Poll::Ready(Some(out.freeze()));
        }
        if !self.is_closed {
            self.gather(context, &mut out);
        }
        if out.is_empty() {
            self.body = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Some(out.freeze()))
    }

    fn gather(&mut self, context: &mut Context<'_>, out: &mut BytesMut) {
        if std::mem::take(&mut self.acknowledge) {
            self.text(message::ACK.to_owned(), out);
        }
        if let Some(content) = self.frame_pong.take() {
            self.frame(Message::Pong(content), out);
        }
        if std::mem::take(&mut self.frame_ping) {
            self.frame(Message::Ping(Bytes::new()), out);
        }
        if std::mem::take(&mut self.pong) {
            self.text(message::PONG.to_owned(), out);
        }
        while out.len() < CHUNK {
            match Pin::new(&mut self.waiting).poll_next(context) {
                Poll::Ready(Some(Ok(turn))) => self.write(turn, out),
                Poll::Ready(Some(Err(_ended))) => {}
                Poll::Ready(None) | Poll::Pending => break,
            }
        }
    }
}

/// The response body. Dropping it means that the connection is gone, so it ends all operations.
pub(super) struct Body(Lane);

impl Stream for Body {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.0.borrow_mut().poll(context).map(|bytes| bytes.map(Ok))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.0.gone();
    }
}
