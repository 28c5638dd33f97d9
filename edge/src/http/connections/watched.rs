//! One connection, whose client may not keep it waiting.
//!
//! While a request is answered, its handler bounds how long its body may take. Otherwise the head of the next
//! request must be there within a time; whatever else comes, such as the rest of a body that nobody reads,
//! does not prolong it. And an answer must be taken in.

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

/// What a client must take in of its answer, in bytes, for the time to begin anew. One that takes a byte now
/// and then is as good as one that takes nothing; the slowest phone takes this in a second or two.
const PROGRESS: usize = 16 * 1024;

/// The requests that are being answered on a connection.
#[derive(Debug, Default)]
pub(super) struct RequestTurns {
    now: Cell<usize>,
    /// How many have ended: another number is another wait.
    ended: Cell<u64>,
}

/// One request's turn; it ends with the value.
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

/// The body of an answer, which keeps the turn of its request.
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

/// A connection that ends with an error when its client takes too long.
pub(super) struct Watched {
    stream: TcpStream,
    turns: Rc<RequestTurns>,
    quiet_within: Duration,
    /// Rings when the head of the next request should have been there; `None` while it is not waited for.
    waits: Option<(u64, Pin<Box<Sleep>>)>,
    stalled_within: Duration,
    /// While the client takes nothing in: rings when it should have; what it has taken since then.
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

    /// The turns of this connection, for the application.
    pub(super) fn turns(&self) -> Rc<RequestTurns> {
        Rc::clone(&self.turns)
    }

    /// Ends the connection when the next request is late. To be called whenever the connection is looked at,
    /// because only then the caller is woken when it rings.
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

    /// Notes what the client took in; `all` of what there was is all that can be asked of it.
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

    /// The client takes nothing in: ends the connection when that has lasted too long.
    fn stall(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let within = self.stalled_within;
        let (rings, _) = self.stalled.get_or_insert_with(|| (Box::pin(sleep(within)), 0));
        if rings.as_mut().poll(context).is_ready() { Err(cut("answer")) } else { Ok(()) }
    }
}

/// A client was waited for long enough.
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
