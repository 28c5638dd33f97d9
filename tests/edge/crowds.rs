//! Too many connections: they are limited per address and in total, and do not slow down other clients.

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::edge::{
    harness::{SOON, Server, Setup},
    raw::{connect_from, statuses, to_end},
};

const REQUEST: &[u8] = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// Sends a request on a new connection from an address, and returns the statuses of the responses.
async fn asked_from(server: &Server, host: u8) -> Vec<u16> {
    let mut stream = connect_from(server, host).await;
    let _cut_off = stream.write_all(REQUEST).await;
    statuses(&to_end(&mut stream, SOON).await.0)
}

/// Returns whether the server accepts a request on the connection. A refused connection is answered at once.
async fn is_let_in(stream: &mut TcpStream) -> bool {
    stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok() && {
        let mut some = [0; 16];
        let read =
            tokio::time::timeout(SOON, tokio::io::AsyncReadExt::read(stream, &mut some)).await.unwrap();
        matches!(read, Ok(read) if some[..read].starts_with(b"HTTP/1.1 200"))
    }
}

#[tokio::test]
async fn the_connections_of_one_address_are_limited() {
    let setup = Setup::empty()
        .with("SMALLRUN_CONNECTIONS_PER_ADDRESS_MAX", "5")
        .with("SMALLRUN_IDLE_SECS_MAX", "300");
    let server = Server::start(setup).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut stream = connect_from(&server, 77).await;
        assert!(is_let_in(&mut stream).await);
        held.push(stream);
    }
    // The client gets the refusal, unless the connection is reset because of the bytes that it already sent.
    assert!(matches!(asked_from(&server, 77).await[..], [] | [503]));
    assert_eq!(asked_from(&server, 78).await, [200]);
    held.pop();
    let patience = Instant::now();
    while asked_from(&server, 77).await != [200] {
        assert!(patience.elapsed() < SOON, "a closed connection still counts");
    }
}

#[tokio::test]
async fn the_limit_per_address_does_not_apply_to_a_trusted_proxy() {
    let setup = Setup::empty()
        .with("SMALLRUN_CONNECTIONS_PER_ADDRESS_MAX", "1")
        .with("SMALLRUN_TRUSTED_PROXIES", "127.0.0.9");
    let server = Server::start(setup).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        let mut stream = connect_from(&server, 9).await;
        assert!(is_let_in(&mut stream).await);
        held.push(stream);
    }
}

#[tokio::test]
async fn the_total_number_of_connections_is_limited() {
    let setup = Setup::empty().with("SMALLRUN_CONNECTIONS_MAX", "16").with("SMALLRUN_IDLE_SECS_MAX", "300");
    let server = Server::start(setup).await;
    let mut held = Vec::new();
    for host in 20..60 {
        let mut stream = connect_from(&server, host).await;
        if is_let_in(&mut stream).await {
            held.push(stream);
        }
    }
    // The client that waited until the server was ready may still hold a connection.
    assert!((14..=16).contains(&held.len()), "{}", held.len());
    drop(held);
    let patience = Instant::now();
    while asked_from(&server, 99).await != [200] {
        assert!(patience.elapsed() < SOON, "closed connections still count");
    }
}

#[tokio::test]
async fn two_thousand_idle_sockets_are_closed_and_do_not_slow_down_others() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let sockets =
        usize::try_from(maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).saturating_sub(200).min(2_000);
    let server = Server::start(Setup::empty().with("SMALLRUN_REQUEST_HEAD_SECS_MAX", "2")).await;
    let mut idle = JoinSet::new();
    for n in 0..sockets {
        // Use eight addresses, so that each stays below its limit.
        let mut stream = connect_from(&server, 100 + u8::try_from(n % 8).unwrap()).await;
        idle.spawn(async move { to_end(&mut stream, SOON).await });
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let began = Instant::now();
        server.graphql(None, "{ drops { nodes { title } } }", serde_json::json!({})).await;
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let mut cut = 0;
    while let Some(ended) = idle.join_next().await {
        let (heard, _) = ended.unwrap();
        assert_eq!(statuses(&heard), [408], "{heard}");
        cut += 1;
    }
    println!("{cut} idle sockets closed; the slowest of 50 other requests took {slowest:?}");
    assert_eq!(cut, sockets);
}
