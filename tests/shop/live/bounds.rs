//! The limits of a live client: connections, operations, pending messages, and the validity of its token.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::shop::{
    harness::{Server, Setup},
    live::socket::{STOCK, Socket, free, handshake},
    market::Market,
};

#[tokio::test]
async fn connections_are_limited_per_address_and_in_total() {
    for (variable, full) in
        [("SMALLRUN_LIVE_CONNECTIONS_PER_ADDRESS_MAX", 429), ("SMALLRUN_LIVE_CONNECTIONS_MAX", 503)]
    {
        let server = Server::start(Setup::empty().with(variable, "2")).await;
        let first = Socket::open(&server, None).await;
        let stream = || {
            let request = server.client().post(server.at("/graphql")).header("accept", "text/event-stream");
            request.json(&json!({ "query": "subscription { dropChanged(id: \"x\") { id } }" })).send()
        };
        let second = Socket::open(&server, None).await;
        let third = Socket::try_open(&server, handshake(&server, Some("graphql-transport-ws"))).await;
        assert_eq!(third.err(), Some(full), "{variable}");
        let refused = stream().await.unwrap();
        assert_eq!(refused.status().as_u16(), full, "{variable}");
        assert!(refused.headers().contains_key("retry-after"), "{variable}");
        // Ordinary requests still work.
        server.graphql(None, "{ __typename }", json!({})).await;
        drop((first, second));
        let patience = Instant::now();
        while stream().await.unwrap().status() != 200 {
            assert!(patience.elapsed() < Duration::from_secs(10), "a closed connection still counts");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn operations_are_limited_per_socket() {
    let market = Market::open(Setup::empty().with("SMALLRUN_LIVE_OPERATIONS_MAX", "2"), 5, 1).await;
    let mut socket = Socket::open(&market, None).await;
    for id in ["1", "2"] {
        socket.subscribe(id, STOCK, json!({ "id": market.drop })).await;
        socket.data(id).await;
    }
    socket.subscribe("3", STOCK, json!({ "id": market.drop })).await;
    let refused = socket.hear().await;
    assert!(refused["type"] == "error" && refused["id"] == "3", "{refused:#}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "DOCUMENT_TOO_COSTLY");
    socket.say(json!({ "type": "complete", "id": "1" })).await;
    socket.subscribe("3", STOCK, json!({ "id": market.drop })).await;
    assert_eq!(free(&socket.data("3").await), 5);
    // The number of pending refusals is limited, too.
    let payload = json!({ "query": STOCK, "variables": { "id": market.drop } });
    let asked =
        |number: u32| json!({ "type": "subscribe", "id": format!("more-{number}"), "payload": payload });
    socket.burst((0..20).map(asked)).await;
    assert_eq!(socket.closed().await, (4429, "Too many operations".to_owned()));
}

#[tokio::test]
async fn a_revoked_session_loses_its_socket_and_its_stream() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let token = market.sign_in(crate::shop::market::ADMIN, crate::shop::market::PASSWORD).await;
    let mut socket = Socket::open(&market, Some(&token)).await;
    let mut other = Socket::open(&market, Some(&market.buyers[0])).await;
    for socket in [&mut socket, &mut other] {
        socket.subscribe("1", STOCK, json!({ "id": market.drop })).await;
        socket.data("1").await;
    }
    let request =
        market.client().post(market.at("/graphql")).header("accept", "text/event-stream").bearer_auth(&token);
    let stream =
        request.json(&json!({ "query": STOCK, "variables": { "id": market.drop } })).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    market.graphql(Some(&token), "mutation { sessionSignOut { errors { code } } }", json!({})).await;
    let revoked = Instant::now();
    let (code, reason) = socket.closed().await;
    assert!(code == 4403 && reason.contains("revoked"), "{code} {reason}");
    assert!(revoked.elapsed() < Duration::from_millis(2_500), "{:?}", revoked.elapsed());
    let text = stream.text().await.unwrap();
    assert!(text.contains("UNAUTHENTICATED") && text.ends_with("event: complete\ndata: \n\n"), "{text}");
    other.is_quiet(Duration::from_millis(500)).await;
    assert_eq!(
        Socket::try_open(&market, handshake(&market, Some("graphql-transport-ws"))).await.map(drop),
        Ok(())
    );
}
