//! A connection that is cut when its client makes it wait too long.
//!
//! While a request is processed, its handler bounds how long the body may take. At all other times the head
//! of the next request must arrive within a fixed time. Anything else that arrives, such as the rest of an
//! unread body, does not extend it. An answer must be read by the client.

use std::{
    cell::Cell,
    io::{self, ErrorKind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::door::ConnectionSlot;

/// The bytes of an answer that a client must read for its time to start again. A client that reads a byte now
/// and then counts as stalled; the slowest phone reads this much in a second or two.
const PROGRESS: usize = 16 * 1024;

/// Counts the requests in progress on a connection.
#[derive(Debug, Default)]
pub(super) struct RequestTurns {
    now: Cell<usize>,
    /// How many have ended. A change restarts the wait for the next request.
    ended: Cell<u64>,
}

/// A request in progress. It ends when the value is dropped.
#[derive(Debug)]
pub(super) struct RequestTurn(Rc<RequestTurns>);

impl RequestTurns {
    pub(super) fn begin(turns: &Rc<Self>) -> RequestTurn {
        turns.now.set(turns.now.get().saturating_add(1));
        RequestTurn(Rc::clone(turns))
    }
}

impl Drop for RequestTurn {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get().saturating_sub(1));
        self.0.ended.set(self.0.ended.get().wrapping_add(1));
    }
}

/// The body of an answer, which keeps its request in progress until it is sent.
pub(super) struct Answering {
    body: BoxBody,
    _turn: Option<RequestTurn>,
}

impl Answering {
    pub(super) fn new(body: impl MessageBody + 'static, turn: Option<RequestTurn>) -> Self {
        Self { body: body.boxed(), _turn: turn }
    }
}

impl MessageBody for Answering {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// A connection that fails with an error when its client takes too long.
pub(super) struct Watched {
    stream: TcpStream,
    turns: Rc<RequestTurns>,
    quiet_within: Duration,
    /// The timer for the head of the next request, with the value of `ended` it was started at. `None` while
    /// a request is in progress.
    waits: Option<(u64, Pin<Box<Sleep>>)>,
    stalled_within: Duration,
    /// The timer for a client that does not read, and the bytes it has read since the timer started.
    stalled: Option<(Pin<Box<Sleep>>, usize)>,
    _place: ConnectionSlot,
}

impl Watched {
    pub(super) fn new(
        stream: TcpStream,
        place: ConnectionSlot,
        quiet_within: Duration,
        stalled_within: Duration,
    ) -> Self {
        Self {
            stream,
            turns: Rc::default(),
            quiet_within,
            waits: None,
            stalled_within,
            stalled: None,
            _place: place,
        }
    }

    /// Returns the counter of this connection's requests, for the application.
    pub(super) fn turns(&self) -> Rc<RequestTurns> {
        Rc::clone(&self.turns)
    }

    /// Fails when the next request is late. Must be called on every poll: polling the timer registers the
    /// task to be woken.
    fn watch(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.turns.now.get() > 0 || self.stalled.is_some() {
            self.waits = None;
            return Ok(());
        }
        let ended = self.turns.ended.get();
        let begun = self.waits.take().filter(|(of, _)| *of == ended);
        let (of, mut rings) = begun.unwrap_or_else(|| (ended, Box::pin(sleep(self.quiet_within))));
        let late = rings.as_mut().poll(context).is_ready();
        self.waits = Some((of, rings));
        if late { Err(cut("request")) } else { Ok(()) }
    }

    /// Records that the client has read bytes; `all` means that nothing is left to read.
    fn took(&mut self, bytes: usize, all: bool) {
        let ends = match &mut self.stalled {
            Some((_, taken)) => {
                *taken = taken.saturating_add(bytes);
                all || *taken >= PROGRESS
            }
            None => return,
        };
        if ends {
            self.stalled = None;
        }
    }

    /// Fails when the client has read too little for too long.
    fn stall(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let within = self.stalled_within;
        let (rings, _) = self.stalled.get_or_insert_with(|| (Box::pin(sleep(within)), 0));
        if rings.as_mut().poll(context).is_ready() { Err(cut("answer")) } else { Ok(()) }
    }
}

/// Returns the error of a slow client, and counts it.
fn cut(waited_for: &'static str) -> io::Error {
    metrics::counter!("smallrun_http_connections_cut_total", "slow" => waited_for).increment(1);
    io::Error::new(ErrorKind::TimedOut, "the client took too long")
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.watch(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Ready(Ok(written)) => {
                self.took(written, written == bytes.len());
                Poll::Ready(Ok(written))
            }
            Poll::Pending => {
                self.stall(context)?;
                Poll::Pending
            }
            failed @ Poll::Ready(Err(_)) => failed,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
