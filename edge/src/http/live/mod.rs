//! Connections that stay open: WebSockets after the protocol `graphql-transport-ws`, and streams of
//! server-sent events after `graphql-sse`, both at `/graphql`.
//!
//! [`socket`] a WebSocket from its handshake to its close, [`lane`] what goes out on it, [`message`] what is
//! said; [`events`] streams of events; [`caller`] who is at the other end, and whether still; [`operate`]
//! begins what is asked for.
//!
//! Architecture invariant: what goes out is made when the connection can take it. No value waits in a queue
//! of a connection; one that takes next to nothing for a while is cut ([`connections`](super::connections)).

mod caller;
mod events;
mod lane;
mod message;
mod operate;
mod socket;

use actix_web::{
    HttpRequest, HttpResponse, Resource,
    guard::GuardContext,
    http::{
        StatusCode,
        header::{ACCEPT, CACHE_CONTROL, RETRY_AFTER, UPGRADE},
    },
    web,
};

use super::{Edge, address};
use crate::live::places::{OpenPlace, PlacesFull};

/// A client that found no place may come again after so many seconds.
const AGAIN_AFTER_SECS: u64 = 5;

/// Adds the routes for requests that ask for a connection that stays open; before those for all others.
pub(super) fn routes(resource: Resource) -> Resource {
    resource
        .route(web::get().guard(asks_for_socket).to(socket::open))
        .route(web::get().guard(asks_for_events).to(events::get))
        .route(web::post().guard(asks_for_events).to(events::post))
}

fn asks_for_socket(request: &GuardContext<'_>) -> bool {
    let upgrade = request.head().headers().get(UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|upgrade| {
        upgrade.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
    })
}

/// Whether the client wants events before all else: it names them in `Accept`, and no JSON.
fn asks_for_events(request: &GuardContext<'_>) -> bool {
    let accept = request.head().headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or("").trim());
    ranges.next().is_some_and(|first| first.eq_ignore_ascii_case("text/event-stream"))
}

/// A place for a connection from where the request came, or the answer that there is none.
fn place(request: &HttpRequest, edge: &Edge) -> Result<OpenPlace, Box<HttpResponse>> {
    let taken = edge.places.take(address::client(request, &edge.settings.trusted_proxies));
    taken.map_err(|full| {
        let (status, why) = match full {
            PlacesFull::Server => {
                (StatusCode::SERVICE_UNAVAILABLE, "this server holds as many open connections as it may")
            }
            PlacesFull::Address => {
                (StatusCode::TOO_MANY_REQUESTS, "your address holds as many open connections as it may")
            }
        };
        let mut response = HttpResponse::build(status);
        response
            .insert_header((RETRY_AFTER, AGAIN_AFTER_SECS))
            .insert_header((CACHE_CONTROL, "no-store"))
            .force_close();
        Box::new(response.body(why))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn events_and_sockets_are_told_from_ordinary_requests() {
        for (name, value, events, socket) in [
            ("accept", "text/event-stream", true, false),
            ("accept", "Text/Event-Stream; q=0.9, application/json;q=0.1", true, false),
            ("accept", "application/json, text/event-stream", false, false),
            ("accept", "*/*", false, false),
            ("upgrade", "websocket", false, true),
            ("upgrade", "h2c, WebSocket", false, true),
            ("upgrade", "h2c", false, false),
        ] {
            let request = TestRequest::default().insert_header((name, value)).to_srv_request();
            let context = request.guard_ctx();
            assert_eq!(
                (asks_for_events(&context), asks_for_socket(&context)),
                (events, socket),
                "{name}: {value}"
            );
        }
    }
}
