//! Connections that stay open, both at `/graphql`: WebSockets by the protocol `graphql-transport-ws`, and
//! streams of server-sent events by `graphql-sse`.
//!
//! - [`socket`] serves a WebSocket from its handshake to its close.
//! - [`lane`] produces its outgoing messages, and [`message`] defines them.
//! - [`events`] serves streams of server-sent events.
//! - [`caller`] identifies the client and notices when its token becomes invalid.
//! - [`operate`] starts the requested operations.
//!
//! Architecture invariant: a message is produced when the connection can take it. No connection has a queue
//! of values, and a connection that reads next to nothing for a while is cut
//! ([`connections`](super::connections)).

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

use super::{HttpEdge, address};
use crate::live::places::{OpenPlace, PlacesFull};

/// After how many seconds a client that was refused for lack of room may retry.
const AGAIN_AFTER_SECS: u64 = 5;

/// Adds the routes of requests for a connection that stays open. They must come before the other routes.
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

/// Returns whether the client prefers a stream of events: `Accept` names it first.
fn asks_for_events(request: &GuardContext<'_>) -> bool {
    let accept = request.head().headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut ranges = accept.split(',').map(|range| range.split(';').next().unwrap_or("").trim());
    ranges.next().is_some_and(|first| first.eq_ignore_ascii_case("text/event-stream"))
}

/// Takes a slot for a connection from the request's address; the error is the complete refusal.
fn place(request: &HttpRequest, edge: &HttpEdge) -> Result<OpenPlace, Box<HttpResponse>> {
    let taken = edge.places.take(address::client(request, &edge.settings.trusted_proxies));
    taken.map_err(|full| {
        let (status, why) = match full {
            PlacesFull::Server => {
                (StatusCode::SERVICE_UNAVAILABLE, "too many open connections to this server: retry later")
            }
            PlacesFull::Address => {
                (StatusCode::TOO_MANY_REQUESTS, "too many open connections from your address: close one")
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
    fn streams_and_sockets_are_recognized_by_their_headers() {
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
