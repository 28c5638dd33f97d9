//! What goes out on a WebSocket. The server's body of the response asks for bytes when the connection can
//! take some; only then the next message is made, of whatever is newest.

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
use crate::live::runs::{End, Told};

/// Bytes that are made at once, of as many messages as there are: one write to the system for all of them.
const CHUNK: usize = 16 * 1024;

/// Queries and mutations of one socket that run, or whose answers wait to go out. An answer may be large, and
/// this many of them are all that a client who does not read keeps in memory; the reader waits before it
/// begins more.
const ONCE_MAX: usize = 4;

/// The lane of one socket. Its reader and the body of its response share it.
#[derive(Clone)]
pub(super) struct Lane(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    codec: Codec,
    /// What is to be said besides operations. Of each kind one at most: that is all the room there is.
    acknowledge: bool,
    pong: bool,
    frame_ping: bool,
    frame_pong: Option<Bytes>,
    close: Option<Close>,
    /// The close frame is out: nothing may follow it.
    is_closed: bool,
    /// The connection ends with the close frame.
    ends: bool,
    /// Nobody reads what goes out.
    is_gone: bool,
    operations: HashMap<String, Entry>,
    /// How many of them are queries or mutations.
    once: usize,
    /// Told when there is room for one more.
    room: Rc<Notify>,
    waiting: FuturesUnordered<Abortable<LocalBoxFuture<'static, OperationTurn>>>,
    body: Option<Waker>,
}

/// An operation that is not at its end.
struct Entry {
    abort: AbortHandle,
    is_once: bool,
}

/// An operation that has something to tell.
struct OperationTurn {
    id: String,
    told: Told,
    /// `None` where nothing runs: the operation was refused.
    running: Option<OpenOperation>,
}

impl Lane {
    pub(super) fn new() -> Self {
        Self(Rc::default())
    }

    /// Changes something, and lets the body look at it.
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

    /// Answers pings: one for all that came before it goes out.
    pub(super) fn pong(&self) {
        self.change(|lane| lane.pong = true);
    }

    /// The same for frames, where the newest one counts (RFC 6455, section 5.5.3).
    pub(super) fn frame_pong(&self, content: Bytes) {
        self.change(|lane| lane.frame_pong = Some(content));
    }

    pub(super) fn frame_ping(&self) {
        self.change(|lane| lane.frame_ping = true);
    }

    /// Says why the socket is closed, and ends all that runs.
    pub(super) fn close(&self, close: Close) {
        metrics::counter!("smallrun_live_closed_total", "code" => close.code.to_string()).increment(1);
        self.change(|lane| {
            lane.end_all();
            lane.close = Some(close);
        });
    }

    /// Ends the connection once the close frame is out: the client has sent its own.
    pub(super) fn finish(&self) {
        self.change(|lane| lane.ends = true);
    }

    /// Nothing more goes out, and nothing runs.
    pub(super) fn gone(&self) {
        self.change(|lane| {
            lane.end_all();
            lane.is_gone = true;
        });
    }

    /// Whether the connection is lost.
    pub(super) fn is_gone(&self) -> bool {
        self.0.borrow().is_gone
    }

    /// Whether there is an operation of that id.
    pub(super) fn runs(&self, id: &str) -> bool {
        self.0.borrow().operations.contains_key(id)
    }

    /// How many operations there are, those included whose end is not told yet.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().operations.len()
    }

    /// Whether one more may begin now, whatever kind it turns out to be.
    pub(super) fn has_room(&self) -> bool {
        let lane = self.0.borrow();
        // Nobody waits for room on a connection that is lost.
        lane.is_gone || lane.once < ONCE_MAX
    }

    /// Waits until one more may begin.
    pub(super) async fn room(&self) {
        let room = Rc::clone(&self.0.borrow().room);
        while !self.has_room() {
            room.notified().await;
        }
    }

    /// Lets an operation tell what it has to.
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

    /// Tells that an operation is not run.
    pub(super) fn refuse(&self, id: String, told: Told) {
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

    /// Ends an operation that the client wants no longer.
    pub(super) fn end(&self, id: &str) {
        self.change(|lane| {
            if let Some(abort) = lane.forget(id) {
                abort.abort();
            }
        });
    }

    /// The body of the response.
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
        // Only continuations are ever refused.
        if let Err(error) = self.codec.encode(message, out) {
            tracing::error!(%error, "a frame could not be written");
        }
    }

    /// Writes what an operation tells, and lets it go on unless that was the last.
    fn write(&mut self, turn: OperationTurn, out: &mut BytesMut) {
        let OperationTurn { id, told: Told { answer, end }, running } = turn;
        match (answer, end) {
            (Some(errors), Some(End::Refused)) => self.text(message::error(&id, &errors), out),
            (answer, end) => {
                if let Some(answer) = answer {
                    metrics::counter!("smallrun_live_values_total", "transport" => "websocket").increment(1);
                    self.text(message::next(&id, &answer), out);
                }
                // The process is at its end: the operation is not, and the client takes it up elsewhere.
                if matches!(end, Some(End::Over | End::Refused)) {
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

/// The body of the response. It ends what runs when it is dropped: then the connection is gone.
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
