//! Streams of server-sent events, by the "distinct connections mode" of `graphql-sse`
//! (<https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>): one operation a request, by POST or
//! GET.

use std::convert::Infallible;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, VARY},
    },
    web::{self, Bytes},
};
use futures_util::stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    caller::Caller,
    operate::{AdmittedOperation, OpenOperation, refused, told},
    place,
};
use crate::{
    errors::Code,
    http::{
        HttpEdge,
        graphql::{media::Media, params::GraphqlParams, read_post},
    },
    live::{
        places::OpenPlace,
        runs::{SubscriptionEnd, SubscriptionMessage},
    },
};

/// An empty comment, which keeps the connection alive and reveals a broken one.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// `POST /graphql` with `Accept: text/event-stream`.
pub(super) async fn post(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<HttpEdge>,
) -> HttpResponse {
    match read_post(&request, body, &edge).await {
        Ok(asked) => answer(&request, &edge, asked, false).await,
        Err((status, why)) => Media::json().refuse(status, Code::BadRequest, &why),
    }
}

/// `GET /graphql?query=…` with `Accept: text/event-stream`, as a browser's `EventSource` sends it. Mutations
/// are refused.
pub(super) async fn get(request: HttpRequest, edge: web::Data<HttpEdge>) -> HttpResponse {
    match GraphqlParams::from_url(request.query_string()) {
        Ok(asked) => answer(&request, &edge, asked, true).await,
        Err(why) => Media::json().refuse(StatusCode::BAD_REQUEST, Code::BadRequest, &why),
    }
}

async fn answer(
    request: &HttpRequest,
    edge: &web::Data<HttpEdge>,
    asked: GraphqlParams,
    by_get: bool,
) -> HttpResponse {
    if asked.query.is_none() && asked.document_id.is_none() && asked.extensions.is_none() {
        return Media::json().refuse(StatusCode::BAD_REQUEST, Code::BadRequest, "`query` is missing");
    }
    let place = match place(request, edge) {
        Ok(place) => place,
        Err(full) => return *full,
    };
    let caller = match Caller::of(request, edge).await {
        Ok(caller) => caller,
        Err(unknown) => return unknown.answer(&Media::json()),
    };
    let next = match AdmittedOperation::admit(edge, &caller, asked).await {
        Ok(operation) if by_get && operation.is_mutation() => {
            let why = "GET cannot run mutations: use POST";
            return Media::json().refuse(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, why);
        }
        Ok(operation) => Next::Of(operation.begin(edge)),
        // Sent in the stream, because a browser's `EventSource` cannot read any other answer.
        Err(refused) => Next::SubscriptionMessage(told(&refused)),
    };
    let every = edge.settings.live.keep_alive_every;
    let mut comments = interval_at(Instant::now().checked_add(every).unwrap_or_else(Instant::now), every);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = EventStream {
        next: Some(next),
        caller,
        stopping: edge.stopping.clone(),
        comments,
        is_open: false,
        _place: place,
    };
    let body = stream::unfold(events, |mut events| async move {
        let event = events.event().await?;
        Some((Ok::<_, Infallible>(event), events))
    });
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "private, no-store"))
        .insert_header((VARY, "Accept, Authorization"))
        // Stops proxies from buffering the events.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(body))
}

/// The rest of a stream: a running operation, or a single last answer.
enum Next {
    Of(OpenOperation),
    SubscriptionMessage(SubscriptionMessage),
}

/// A stream of events.
struct EventStream {
    /// `None` after the last event.
    next: Option<Next>,
    caller: Caller,
    stopping: CancellationToken,
    comments: Interval,
    is_open: bool,
    _place: OpenPlace,
}

impl EventStream {
    /// Returns the next bytes when the connection can take some; `None` ends the stream.
    async fn event(&mut self) -> Option<Bytes> {
        if !self.is_open {
            // Sent together with the headers, so that the client learns at once that it is connected.
            self.is_open = true;
            return Some(COMMENT);
        }
        let told = match self.next.as_mut()? {
            Next::SubscriptionMessage(told) => {
                SubscriptionMessage { answer: told.answer.take(), end: told.end }
            }
            Next::Of(running) => tokio::select! {
                biased;
                // No `complete` event: the client resumes the operation on another server.
                () = self.stopping.cancelled() => return None,
                why = self.caller.denied() => SubscriptionMessage {
                    answer: Some(refused(Code::Unauthenticated, why)),
                    end: Some(SubscriptionEnd::Refused),
                },
                told = running.next() => told,
                _ = self.comments.tick() => return Some(COMMENT),
            },
        };
        let mut text = String::new();
        if let Some(answer) = told.answer.as_ref().and_then(|answer| std::str::from_utf8(answer).ok()) {
            metrics::counter!("smallrun_live_values_total", "transport" => "events").increment(1);
            // Serialized JSON has no line breaks.
            match told.end {
                Some(SubscriptionEnd::Refused) => {
                    text.push_str(&format!("event: next\ndata: {{\"errors\":{answer}}}\n\n"))
                }
                _ => text.push_str(&format!("event: next\ndata: {answer}\n\n")),
            }
        }
        match told.end {
            None => {}
            Some(SubscriptionEnd::Over | SubscriptionEnd::Refused) => {
                // An `EventSource` ignores events without data, so an empty line of data is sent.
                text.push_str("event: complete\ndata: \n\n");
                self.next = None;
            }
            Some(SubscriptionEnd::Stopped) => self.next = None,
        }
        if text.is_empty() { None } else { Some(Bytes::from(text)) }
    }
}
