//! Serves a WebSocket from its handshake to its close.

use std::time::Duration;

use actix_http::ws::{self, Codec, Frame, Item, ProtocolError};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{HeaderMap, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL},
    },
    rt,
    web::{self, Bytes, BytesMut},
};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::Decoder;

use super::{
    caller::{Caller, authorization_in},
    lane::Lane,
    message::{ClientMessage, Close, PROTOCOL},
    operate::{self, AdmittedOperation},
    place,
};
use crate::{
    errors::{Code, internal},
    http::{
        HttpEdge,
        bearer::{UNKNOWN_TOKEN, Unknown},
        graphql::{media::Media, params::GraphqlParams},
    },
    live::{
        LiveBounds,
        places::OpenPlace,
        runs::{SubscriptionEnd, SubscriptionMessage},
    },
};

/// How long a client may take to answer a close frame before the connection is dropped.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// A client that is silent for this many ping intervals is considered gone.
const SILENT_PINGS: u32 = 3;

/// `GET /graphql` with `Upgrade: websocket`.
pub(super) async fn open(
    request: HttpRequest,
    payload: web::Payload,
    edge: web::Data<HttpEdge>,
) -> HttpResponse {
    if let Err(error) = ws::verify_handshake(request.head()) {
        return HttpResponse::from(actix_http::Response::from(error));
    }
    // Browsers open WebSockets to other origins without a preflight, so the origin is checked here.
    if !edge.settings.http.cors.takes(request.headers().get(ORIGIN)) {
        return Media::json().refuse(
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            "pages of this origin may not connect",
        );
    }
    let place = match place(&request, &edge) {
        Ok(place) => place,
        Err(full) => return *full,
    };
    let caller = match Caller::of(&request, &edge).await {
        Ok(caller) => caller,
        Err(unknown) => return unknown.answer(&Media::json()),
    };
    let mut response = HttpResponse::build(StatusCode::SWITCHING_PROTOCOLS);
    response.upgrade("websocket");
    if let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY) {
        response.insert_header((SEC_WEBSOCKET_ACCEPT, ws::hash_key(key.as_bytes()).to_vec()));
    }
    let is_spoken = offers(request.headers());
    if is_spoken {
        response.insert_header((SEC_WEBSOCKET_PROTOCOL, PROTOCOL));
    }
    let lane = Lane::new();
    let body = lane.body();
    let socket = Socket {
        bounds: edge.settings.live,
        edge: edge.clone(),
        lane,
        caller,
        is_acknowledged: false,
        _place: place,
    };
    rt::spawn(socket.run(payload, is_spoken));
    response.streaming(body)
}

/// Returns whether the client offers the protocol.
fn offers(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|protocol| protocol.trim() == PROTOCOL)
}

struct Socket {
    edge: web::Data<HttpEdge>,
    bounds: LiveBounds,
    lane: Lane,
    /// Identified by the header of the handshake, and again by `connection_init`.
    caller: Caller,
    is_acknowledged: bool,
    _place: OpenPlace,
}

impl Socket {
    async fn run(mut self, mut payload: web::Payload, is_spoken: bool) {
        let mut frames = Frames::new(self.bounds.message_bytes_max);
        let close = if is_spoken {
            self.serve(&mut payload, &mut frames).await
        } else {
            Some(Close::not_acceptable())
        };
        if let Some(close) = close {
            let is_answer = close.is_answer();
            self.lane.close(close);
            if is_answer {
                return self.lane.finish();
            }
            // Closing a connection with unread bytes would discard the close frame before the client receives
            // it.
            let _answered = timeout(CLOSE_WITHIN, frames.until_closed(&mut payload)).await;
        }
        self.lane.gone();
    }

    /// Serves until there is a reason to close; `None` when the client is gone.
    async fn serve(&mut self, payload: &mut web::Payload, frames: &mut Frames) -> Option<Close> {
        let later = |after: Duration| Instant::now().checked_add(after).unwrap_or_else(Instant::now);
        let init_by = later(self.bounds.init_within);
        let (mut ping_at, mut heard_at) = (later(self.bounds.keep_alive_every), Instant::now());
        loop {
            while self.lane.has_room() {
                // Messages read before the connection was lost are dropped.
                if self.lane.is_gone() {
                    return None;
                }
                match frames.next() {
                    Ok(Some(incoming)) => {
                        // Boxed, so that an idle socket needs no memory for it.
                        if let Err(close) = Box::pin(self.take(incoming)).await {
                            return Some(close);
                        }
                    }
                    Ok(None) => break,
                    Err(close) => return Some(close),
                }
            }
            // Without room nothing more is read, so that the client's sends block in the end.
            let has_room = self.lane.has_room();
            let wake_at = if self.is_acknowledged { ping_at } else { ping_at.min(init_by) };
            tokio::select! {
                biased;
                () = self.edge.stopping.cancelled() => return Some(Close::going_away()),
                why = self.caller.denied() => return Some(Close::forbidden(why)),
                () = self.lane.room(), if !has_room => {}
                chunk = payload.next(), if has_room => match chunk {
                    Some(Ok(chunk)) => {
                        heard_at = Instant::now();
                        frames.feed(&chunk);
                    }
                    Some(Err(_)) | None => return None,
                },
                () = sleep_until(wake_at) => {
                    let now = Instant::now();
                    if !self.is_acknowledged && now >= init_by {
                        return Some(Close::init_timeout());
                    }
                    if now.duration_since(heard_at)
                        >= self.bounds.keep_alive_every.saturating_mul(SILENT_PINGS)
                    {
                        return None;
                    }
                    if now >= ping_at {
                        self.lane.frame_ping();
                        ping_at = later(self.bounds.keep_alive_every);
                    }
                }
            }
        }
    }

    async fn take(&mut self, incoming: Incoming) -> Result<(), Close> {
        match incoming {
            Incoming::Text(text) => match ClientMessage::read(&text).map_err(Close::bad_request)? {
                ClientMessage::ConnectionInit { params } => self.init(authorization_in(&params)).await,
                ClientMessage::Subscribe { .. } if !self.is_acknowledged => Err(Close::unauthorized()),
                ClientMessage::Subscribe { id, asked } => self.subscribe(id, asked).await,
                ClientMessage::Complete { id } => {
                    self.lane.end(&id);
                    Ok(())
                }
                ClientMessage::Ping => {
                    self.lane.pong();
                    Ok(())
                }
                ClientMessage::Pong => Ok(()),
            },
            Incoming::Ping(content) => {
                self.lane.frame_pong(content);
                Ok(())
            }
            Incoming::Pong => Ok(()),
            Incoming::Close => Err(Close::normal()),
        }
    }

    async fn init(&mut self, authorization: Result<Option<String>, Unknown>) -> Result<(), Close> {
        if self.is_acknowledged {
            return Err(Close::too_many_inits());
        }
        let found = match authorization {
            Ok(None) => Ok(None),
            Ok(Some(authorization)) => {
                Caller::find(&self.edge, Some(&authorization), self.caller.address).await.map(Some)
            }
            Err(unknown) => Err(unknown),
        };
        match found {
            Ok(caller) => {
                if let Some(caller) = caller {
                    self.caller = caller;
                }
                self.is_acknowledged = true;
                self.lane.acknowledge();
                Ok(())
            }
            Err(Unknown::Token) => Err(Close::forbidden(UNKNOWN_TOKEN)),
            Err(Unknown::Failed(failure)) => {
                internal(&*failure);
                Err(Close::internal())
            }
        }
    }

    async fn subscribe(&mut self, id: String, asked: GraphqlParams) -> Result<(), Close> {
        if self.lane.runs(&id) {
            return Err(Close::already_exists(&id));
        }
        let running = self.lane.count();
        if running >= self.bounds.operations_max.saturating_mul(2) {
            return Err(Close::too_many_operations());
        }
        if running >= self.bounds.operations_max {
            let why = format!("this socket already runs {running} operations, which is the limit");
            let answer = Some(operate::refused(Code::TooCostly, &why));
            self.lane.refuse(id, SubscriptionMessage { answer, end: Some(SubscriptionEnd::Refused) });
            return Ok(());
        }
        match AdmittedOperation::admit(&self.edge, &self.caller, asked).await {
            Ok(operation) => self.lane.begin(id, operation.begin(&self.edge)),
            Err(refused) => self.lane.refuse(id, operate::told(&refused)),
        }
        Ok(())
    }
}

/// Decodes incoming frames into messages.
struct Frames {
    codec: Codec,
    bytes: BytesMut,
    bytes_max: usize,
    /// The parts received so far of a text in several frames.
    partial: BytesMut,
}

/// Returns the length of the next frame by its head, or 0 while the head is incomplete (RFC 6455, section
/// 5.2).
fn announced(bytes: &[u8]) -> u64 {
    match bytes {
        [_, length, high, low, ..] if length & 0x7f == 126 => u16::from_be_bytes([*high, *low]).into(),
        [_, length, rest @ ..] if length & 0x7f == 127 => match rest.first_chunk() {
            Some(length) => u64::from_be_bytes(*length),
            None => 0,
        },
        // Up to 125 bytes: below any limit.
        _ => 0,
    }
}

enum Incoming {
    Text(String),
    Ping(Bytes),
    Pong,
    Close,
}

impl Frames {
    fn new(bytes_max: usize) -> Self {
        Self {
            codec: Codec::new().max_size(bytes_max),
            bytes: BytesMut::new(),
            bytes_max,
            partial: BytesMut::new(),
        }
    }

    fn feed(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    /// Returns the next complete message or control frame.
    fn next(&mut self) -> Result<Option<Incoming>, Close> {
        let text =
            |text: &[u8]| String::from_utf8(text.to_vec()).map(Incoming::Text).map_err(|_| Close::not_text());
        loop {
            // The codec checks the length of a frame only after all of it has arrived.
            if announced(&self.bytes) > u64::try_from(self.bytes_max).unwrap_or(u64::MAX) {
                return Err(Close::too_long(self.bytes_max));
            }
            let frame = self.codec.decode(&mut self.bytes).map_err(|error| match error {
                ProtocolError::Overflow => Close::too_long(self.bytes_max),
                _ => Close::broken(),
            })?;
            let Some(frame) = frame else {
                if self.bytes.is_empty() {
                    // Frees the buffer of an idle socket.
                    self.bytes = BytesMut::new();
                }
                return Ok(None);
            };
            match frame {
                Frame::Text(bytes) => return text(&bytes).map(Some),
                Frame::Ping(content) => return Ok(Some(Incoming::Ping(content))),
                Frame::Pong(_) => return Ok(Some(Incoming::Pong)),
                Frame::Close(_) => return Ok(Some(Incoming::Close)),
                Frame::Continuation(Item::FirstText(part) | Item::Continue(part)) => self.keep(&part)?,
                Frame::Continuation(Item::Last(part)) => {
                    self.keep(&part)?;
                    let whole = std::mem::take(&mut self.partial);
                    return text(&whole).map(Some);
                }
                Frame::Binary(_) | Frame::Continuation(Item::FirstBinary(_)) => {
                    return Err(Close::bad_request("Invalid message: expected a text"));
                }
            }
        }
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Close> {
        if self.partial.len().saturating_add(part.len()) > self.bytes_max {
            return Err(Close::too_long(self.bytes_max));
        }
        self.partial.extend_from_slice(part);
        Ok(())
    }

    /// Reads and discards messages until the client has closed its side as well.
    async fn until_closed(&mut self, payload: &mut web::Payload) {
        loop {
            match self.next() {
                Ok(Some(Incoming::Close)) => return,
                Ok(Some(_)) => continue,
                // Undecodable bytes are discarded.
                Err(_) => self.bytes = BytesMut::new(),
                Ok(None) => {}
            }
            match payload.next().await {
                Some(Ok(chunk)) => self.feed(&chunk),
                Some(Err(_)) | None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_frame_is_read_from_its_head() {
        for (head, length) in [
            (b"".as_slice(), 0),
            (b"\x81\x85", 0),
            (b"\x81\xfe\x01", 0),
            (b"\x81\xfe\x01\x02", 258),
            (b"\x81\xff\0\0\0\0\0\x01\0", 0),
            (b"\x81\xff\0\0\0\0\0\x01\0\0", 65_536),
            (b"\x81\xff\x3f\xff\xff\xff\xff\xff\xff\xff", 0x3fff_ffff_ffff_ffff),
        ] {
            assert_eq!(announced(head), length, "{head:?}");
        }
    }

    #[test]
    fn a_message_comes_in_any_pieces_and_none_is_kept_beyond_the_bound() {
        let mut frames = Frames::new(10);
        // "hello" in two frames with a zero mask, fed byte by byte, with a ping between them.
        let mut heard = Vec::new();
        for byte in b"\x01\x82\0\0\0\0he\x89\x80\0\0\0\0\x80\x83\0\0\0\0llo" {
            frames.feed(&[*byte]);
            while let Ok(Some(incoming)) = frames.next() {
                heard.push(match incoming {
                    Incoming::Text(text) => text,
                    Incoming::Ping(_) => "ping".to_owned(),
                    Incoming::Pong | Incoming::Close => "other".to_owned(),
                });
            }
        }
        assert_eq!(heard, ["ping", "hello"]);
        for too_long in
            [b"\x81\x8b\0\0\0\0hello hello".as_slice(), b"\x01\x86\0\0\0\0hello \x80\x85\0\0\0\0hello"]
        {
            let mut frames = Frames::new(10);
            frames.feed(too_long);
            assert_eq!(frames.next().err().map(|close| close.code), Some(1009), "{too_long:?}");
        }
    }
}
