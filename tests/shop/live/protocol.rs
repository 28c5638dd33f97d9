//! The protocol `graphql-transport-ws`: every close code and every message.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{Message, http::HeaderValue};

use crate::shop::{
    harness::{SOON, Server, Setup},
    live::socket::{STOCK, Socket, free, handshake},
    market::Market,
};

fn init() -> Value {
    json!({ "type": "connection_init" })
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } })
}

#[tokio::test]
async fn each_violation_of_the_protocol_has_its_close_code() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let stock = json!({
        "type": "subscribe", "id": "1", "payload": { "query": STOCK, "variables": { "id": market.drop } },
    });
    let text = |value: Value| Message::text(value.to_string());
    let long = format!("{{\"type\":\"ping\",\"payload\":{{\"x\":\"{}\"}}}}", "x".repeat(110_000));
    for (what, said, code) in [
        ("no JSON", vec![Message::text("hello")], 4400),
        ("no object", vec![Message::text("[]")], 4400),
        ("bytes", vec![Message::binary(b"{}".to_vec())], 4400),
        (
            "an unknown type",
            vec![text(json!({ "type": "start", "id": "1", "payload": { "query": "{ a }" } }))],
            4400,
        ),
        ("a server's message", vec![text(json!({ "type": "connection_ack" }))], 4400),
        (
            "a payload that is no object",
            vec![text(json!({ "type": "connection_init", "payload": "x" }))],
            4400,
        ),
        (
            "no id",
            vec![text(init()), text(json!({ "type": "subscribe", "payload": { "query": "{ a }" } }))],
            4400,
        ),
        (
            "no query",
            vec![text(init()), text(json!({ "type": "subscribe", "id": "1", "payload": {} }))],
            4400,
        ),
        ("no init", vec![text(subscribe("1", "{ __typename }"))], 4401),
        (
            "an unknown token",
            vec![text(
                json!({ "type": "connection_init", "payload": { "authorization": "Bearer sr_ses_x" } }),
            )],
            4403,
        ),
        (
            "no token",
            vec![text(json!({ "type": "connection_init", "payload": { "Authorization": "Basic x" } }))],
            4403,
        ),
        (
            "a token that is no text",
            vec![text(json!({ "type": "connection_init", "payload": { "authorization": 7 } }))],
            4403,
        ),
        ("an id in use", vec![text(init()), text(stock.clone()), text(stock)], 4409),
        ("a second init", vec![text(init()), text(init())], 4429),
        ("a message that is too long", vec![text(init()), Message::text(long)], 1009),
        ("goodbye", vec![Message::Close(None)], 1000),
    ] {
        let mut socket = Socket::silent(&market).await;
        for message in said {
            socket.send(message).await;
        }
        let (closed, reason) = socket.closed().await;
        assert_eq!(closed, code, "{what}: {reason}");
        assert!(code == 1000 || !reason.is_empty(), "{what}");
    }
    for protocol in [None, Some("graphql-ws"), Some("graphql-transport-ws2")] {
        let opened = Socket::try_open(&market, handshake(&market, protocol)).await;
        // If the server accepts none of the offered protocols, the client closes the connection itself.
        if let Ok(mut socket) = opened {
            assert_eq!(socket.closed().await.0, 4406, "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn a_client_without_connection_init_is_disconnected() {
    let server = Server::start(Setup::empty().with("SMALLRUN_LIVE_INIT_SECS", "1")).await;
    let mut socket = Socket::silent(&server).await;
    let began = Instant::now();
    assert_eq!(socket.closed().await, (4408, "Connection initialisation timeout".to_owned()));
    assert!(began.elapsed() > Duration::from_millis(800), "{:?}", began.elapsed());
    let mut begun = Socket::open(&server, None).await;
    begun.is_quiet(Duration::from_millis(1_500)).await;
}

#[tokio::test]
async fn a_server_error_is_distinguished_from_an_invalid_token() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let rows = Database::connect(market.database_url()).await.unwrap();
    rows.execute_unprepared("ALTER TABLE sessions RENAME TO sessions_elsewhere").await.unwrap();
    let bearer = format!("Bearer {}", market.buyers[0]);
    let mut socket = Socket::silent(&market).await;
    socket.say(json!({ "type": "connection_init", "payload": { "authorization": bearer } })).await;
    assert_eq!(socket.closed().await, (4500, "Internal server error".to_owned()));
    let mut request = handshake(&market, Some("graphql-transport-ws"));
    request.headers_mut().insert("authorization", HeaderValue::from_str(&bearer).unwrap());
    assert_eq!(Socket::try_open(&market, request).await.err(), Some(503));
    rows.execute_unprepared("ALTER TABLE sessions_elsewhere RENAME TO sessions").await.unwrap();
    rows.close().await.unwrap();
    Socket::open(&market, Some(&market.buyers[0])).await;
}

#[tokio::test]
async fn broken_frames_have_their_close_codes() {
    let server = Server::start(Setup::empty()).await;
    // The server waits for the answer to a close frame, so all cases run at the same time.
    let breaches = [
        ("an unmasked frame", b"\x81\x02{}".as_slice(), 1002_u16),
        ("an unknown opcode", b"\x83\x80\0\0\0\0", 1002),
        ("a continuation of nothing", b"\x80\x80\0\0\0\0", 1002),
        ("a text that is none", b"\x81\x82\0\0\0\0\xff\xfe", 1007),
        ("a frame of 4 EB", b"\x81\xff\x3f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    ];
    let server = &server;
    join_all(breaches.map(|(what, frame, code)| async move {
        let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let head = format!(
            "GET /graphql HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-protocol: graphql-transport-ws\r\n\r\n",
            server.address()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(frame).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
        let (head, frames) = answer.split_at(end);
        assert!(String::from_utf8_lossy(head).contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{what}");
        let closed_with = u16::from_be_bytes([frames[2], frames[3]]);
        assert_eq!((frames[0], closed_with), (0x88, code), "{what}: {frames:?}");
    }))
    .await;
    let plain =
        server.client().get(server.at("/graphql")).header("upgrade", "websocket").send().await.unwrap();
    assert_eq!(plain.status(), 400, "the request is not a WebSocket handshake");
}

#[tokio::test]
async fn both_sides_ping_and_pong() {
    let server = Server::start(Setup::empty().with("SMALLRUN_LIVE_KEEP_ALIVE_SECS", "1")).await;
    let mut socket = Socket::silent(&server).await;
    // Pings are also answered before the connection is acknowledged.
    socket.say(json!({ "type": "ping", "payload": { "at": 7 } })).await;
    assert_eq!(socket.hear().await, json!({ "type": "pong" }));
    socket.say(json!({ "type": "pong" })).await;
    socket.send(Message::Ping(b"abc".to_vec().into())).await;
    // The server's own pings arrive at their interval.
    let (mut answered, mut asked) = (false, false);
    while !(answered && asked) {
        match socket.frame().await {
            Some(Message::Pong(content)) => answered = content.as_ref() == b"abc",
            Some(Message::Ping(_)) => asked = true,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_pings_is_disconnected() {
    let server = Server::start(Setup::empty().with("SMALLRUN_LIVE_KEEP_ALIVE_SECS", "1")).await;
    let mut stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "GET /graphql HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Send `connection_init` with a zero mask, and nothing else: pings are not answered.
    let init = br#"{"type":"connection_init"}"#;
    let frame = [&[0x81, 0x80 | u8::try_from(init.len()).unwrap(), 0, 0, 0, 0], init.as_slice()].concat();
    stream.write_all(&frame).await.unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!((2..15).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn queries_and_mutations_run_over_a_socket_too() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let mut socket = Socket::open(&market, Some(&market.buyers[0])).await;
    socket.subscribe("q", "query Q { __typename }", json!({})).await;
    assert_eq!(socket.data("q").await, json!({ "__typename": "Query" }));
    assert_eq!(socket.hear().await, json!({ "type": "complete", "id": "q" }));
    // The id can be used again.
    let reserve = crate::shop::market::mutation("checkoutReserve", "checkout { status }");
    socket.subscribe("q", &reserve, json!({ "input": market.reserving(&market.item, "by-socket-1") })).await;
    assert_eq!(socket.data("q").await["checkoutReserve"]["checkout"]["status"], "HELD");
    assert_eq!(socket.hear().await["type"], "complete");
    assert_eq!(market.stock().await, (4, 1, 0));
    for (query, code) in [
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ ", "GRAPHQL_PARSE_FAILED"),
        ("subscription { __typename }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "subscription { a: dropChanged(id: \"x\") { id } b: dropChanged(id: \"x\") { id } }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        socket.subscribe("bad", query, json!({})).await;
        let message = socket.hear().await;
        assert!(message["type"] == "error" && message["id"] == "bad", "{query}: {message:#}");
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{query}: {message:#}");
    }
    // Send a message in fragments, and several operations at once.
    socket.subscribe("a", "{ a: __typename }", json!({})).await;
    socket.subscribe("b", "{ b: __typename }", json!({})).await;
    let mut heard = Vec::new();
    while heard.len() < 4 {
        heard.push(socket.hear().await["type"].as_str().unwrap().to_owned());
    }
    heard.sort();
    assert_eq!(heard, ["complete", "complete", "next", "next"]);
}

#[tokio::test]
async fn a_completed_operation_gets_no_more_results_and_is_removed() {
    let market = Market::open(Setup::empty(), 5, 2).await;
    let mut socket = Socket::open(&market, None).await;
    for id in ["1", "2"] {
        socket.subscribe(id, STOCK, json!({ "id": market.drop })).await;
        assert_eq!(free(&socket.data(id).await), 5);
    }
    socket.say(json!({ "type": "complete", "id": "1" })).await;
    socket.say(json!({ "type": "complete", "id": "of nobody" })).await;
    market.reserve(&market.buyers[0]).await;
    assert_eq!(free(&socket.data("2").await), 4);
    // The id can be used again at once.
    socket.subscribe("1", STOCK, json!({ "id": market.drop })).await;
    assert_eq!(free(&socket.data("1").await), 4);
    drop(socket);
    gauge_becomes(&market, "smallrun_live_runs", "0").await;
    gauge_becomes(&market, "smallrun_live_connections", "0").await;
}

async fn gauge_becomes(server: &Server, name: &str, value: &str) {
    let patience = Instant::now();
    loop {
        let metrics = server.client().get(server.at("/metrics")).send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find(|line| line.starts_with(name)).map(str::to_owned).unwrap_or_default();
        if line.ends_with(&format!(" {value}")) {
            return;
        }
        assert!(patience.elapsed() < SOON, "{name} is {line:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_token_in_the_handshake_is_checked_and_used_unless_connection_init_has_another() {
    let market = Market::open(Setup::empty(), 5, 2).await;
    let with = |token: &str| {
        let mut request = handshake(&market, Some("graphql-transport-ws"));
        request
            .headers_mut()
            .insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        request
    };
    assert_eq!(Socket::try_open(&market, with("sr_ses_nobodys")).await.err(), Some(401));
    let who = "{ viewer { account { name } } }";
    let asked = market.send(Some(&market.buyers[0]), who, json!({})).await;
    assert_eq!(asked.0, 200, "{asked:?}");
    for (params, token) in [(None, &market.buyers[0]), (Some(&market.buyers[1]), &market.buyers[1])] {
        let mut socket = Socket::try_open(&market, with(&market.buyers[0])).await.unwrap();
        let payload = params.map(|token| json!({ "Authorization": format!("Bearer {token}") }));
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        assert_eq!(socket.hear().await["type"], "connection_ack");
        socket.subscribe("1", who, json!({})).await;
        assert_eq!(socket.data("1").await, market.graphql(Some(token), who, json!({})).await);
    }
}

#[tokio::test]
async fn a_stop_closes_sockets_as_going_away_and_ends_streams_without_completing_them() {
    let market = Market::open(Setup::empty(), 5, 1).await;
    let mut socket = Socket::open(&market, Some(&market.buyers[0])).await;
    socket.subscribe("1", STOCK, json!({ "id": market.drop })).await;
    assert_eq!(free(&socket.data("1").await), 5);
    let stream = market.client().post(market.at("/graphql")).header("accept", "text/event-stream");
    let stream =
        stream.json(&json!({ "query": STOCK, "variables": { "id": market.drop } })).send().await.unwrap();
    let reading = tokio::spawn(stream.text());
    market.signal(rustix::process::Signal::TERM);
    assert_eq!(socket.closed().await.0, 1001);
    let text = reading.await.unwrap().unwrap();
    assert!(!text.contains("event: complete"), "{text}");
}
