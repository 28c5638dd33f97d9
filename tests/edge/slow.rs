//! Slow clients: each connection is closed within the configured time, whatever the client does meanwhile.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use crate::edge::{
    harness::{SOON, Server, Setup},
    raw::{connect, dribble, statuses, tell},
};

/// The longest time to wait. Far more than any of the settings below, because the machine may be busy.
const WITHIN: Duration = Duration::from_secs(10);

/// Starts a server with the shortest timeouts.
async fn impatient() -> Server {
    let mut setup = Setup::empty();
    for name in ["REQUEST_HEAD_SECS_MAX", "REQUEST_BODY_SECS_MAX", "IDLE_SECS_MAX", "ANSWER_STALL_SECS_MAX"] {
        setup = setup.with(&format!("SMALLRUN_{name}"), "1");
    }
    Server::start(setup).await
}

/// Returns the value of a metric, by its name and labels.
async fn metric(server: &Server, name: &str) -> f64 {
    let text = server.client().get(server.at("/metrics")).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or(0.0)
}

#[tokio::test]
async fn a_client_that_sends_nothing_or_an_endless_head_is_cut_off() {
    let server = impatient().await;
    let (heard, took) = tell(&server, b"", WITHIN).await;
    assert_eq!(statuses(&heard), [408], "after {took:?}: {heard}");
    let (heard, took) =
        dribble(connect(&server).await, b"GET /livez HTTP/1.1\r\nhost: x\r\nx-more: ", b"a", WITHIN).await;
    assert_eq!(statuses(&heard), [408], "after {took:?}: {heard}");
    // The server checks the time twice a second.
    assert!(took > Duration::from_millis(300), "the connection was closed too early, after {took:?}");
}

#[tokio::test]
async fn the_second_head_on_a_connection_has_the_same_timeout_as_the_first() {
    let server = impatient().await;
    let first = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let (heard, took) = tell(&server, first, WITHIN).await;
    assert_eq!(statuses(&heard), [200], "after {took:?}: {heard}");
    let begun = [&first[..], b"GET /livez HTTP/1.1\r\nhost: x\r\nx-more: "].concat();
    let (heard, took) = dribble(connect(&server).await, &begun, b"a", WITHIN).await;
    assert_eq!(statuses(&heard), [200], "after {took:?}: {heard}");
    assert!(metric(&server, "smallrun_http_connections_cut_total{slow=\"request\"}").await >= 1.0);
}

#[tokio::test]
async fn an_endless_body_is_refused_and_an_unread_one_is_cut_off() {
    let server = impatient().await;
    let head = |path: &str, how: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{how}\r\n\r\n")
    };
    let long = head("/graphql", "content-length: 90000");
    let (heard, took) = dribble(connect(&server).await, long.as_bytes(), b" ", WITHIN).await;
    assert_eq!(statuses(&heard), [408], "after {took:?}: {heard}");
    let chunked = head("/graphql", "transfer-encoding: chunked");
    let (heard, took) = dribble(connect(&server).await, chunked.as_bytes(), b"1\r\n \r\n", WITHIN).await;
    assert_eq!(statuses(&heard), [408], "after {took:?}: {heard}");
    for path in ["/nothing", "/livez"] {
        let unread = head(path, "transfer-encoding: chunked");
        let (heard, took) = dribble(connect(&server).await, unread.as_bytes(), b"1\r\n \r\n", WITHIN).await;
        assert!(matches!(statuses(&heard)[..], [404 | 405]), "after {took:?}: {heard}");
    }
}

#[tokio::test]
async fn a_request_with_a_wrong_content_length_is_refused() {
    let server = impatient().await;
    let post = |length: u64, body: &str| {
        format!(
            "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    };
    let query = "{\"query\":\"{ __typename }\"}";
    let (heard, took) = tell(&server, post(99_000_000_000, query).as_bytes(), WITHIN).await;
    assert_eq!(statuses(&heard), [413], "after {took:?}: {heard}");
    let (heard, took) = tell(&server, post(90_000, query).as_bytes(), WITHIN).await;
    assert_eq!(statuses(&heard), [408], "after {took:?}: {heard}");
    // The bytes after the body are not a valid request.
    let longer = format!("{query}{query}\r\n\r\n");
    let (heard, took) =
        tell(&server, post(query.len().try_into().unwrap(), &longer).as_bytes(), WITHIN).await;
    // They end the connection, before or after the first request is answered.
    assert!(matches!(statuses(&heard)[..], [] | [400] | [200, 400]), "after {took:?}: {heard}");
}

#[tokio::test]
async fn a_client_that_does_not_read_its_responses_is_cut_off() {
    let server = impatient().await;
    let socket = TcpSocket::new_v4().unwrap();
    // With a small receive buffer, most of the many megabytes wait in the server.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(server.address().parse().unwrap()).await.unwrap();
    let request = "GET /playground/graphiql.min.js HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request.repeat(16).as_bytes()).await.unwrap();
    let cut = "smallrun_http_connections_cut_total{slow=\"answer\"}";
    let patience = Instant::now();
    while metric(&server, cut).await < 1.0 {
        assert!(patience.elapsed() < SOON, "the connection was not closed");
    }
    // A client that reads its whole response is not cut off.
    let mut stream = connect(&server).await;
    let closing = request.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    stream.write_all(closing.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).await.unwrap();
    assert!(heard.len() > 100_000 && metric(&server, cut).await == 1.0, "{}", heard.len());
}
