//! Clients that do not read: they use a bounded amount of memory and are disconnected (fault F20 of the fault
//! catalogue).

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

use crate::shop::{
    harness::{SOON, Server, Setup},
    live::socket::{STOCK, Socket, free},
    market::Market,
};

/// The number of clients that do not read.
const SLOW: usize = 40;

/// Returns the memory of the server, in bytes.
fn memory(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.process_id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// Returns a text frame with a zero mask.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    let mut frame = vec![0x81];
    if length < 126 {
        frame.push(0x80 | u8::try_from(length).unwrap());
    } else {
        frame.push(0x80 | 126);
        frame.extend(length.to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// Opens a client with a small receive buffer that never reads.
async fn never_reads(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(server.address().parse().unwrap()).await.unwrap();
    let head = format!(
        "GET /graphql HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&frame(r#"{"type":"connection_init"}"#)).await.unwrap();
    stream
}

#[tokio::test]
async fn clients_that_never_read_use_little_memory_and_are_disconnected() {
    let setup = Setup::empty()
        .with("SMALLRUN_ANSWER_STALL_SECS_MAX", "3")
        .with("SMALLRUN_LIVE_KEEP_ALIVE_SECS", "60");
    let market = Market::open(setup, 10, 4).await;
    let mut reader = Socket::open(&market, None).await;
    reader.subscribe("1", STOCK, json!({ "id": market.drop })).await;
    assert_eq!(free(&reader.data("1").await), 10);
    let introspection =
        json!({ "query": "{ __schema { types { name description fields { name description } } } }" });
    let mut greedy = Vec::new();
    for _ in 0..SLOW {
        greedy.push(never_reads(&market).await);
    }
    let before = memory(&market);
    for stream in &mut greedy {
        // Each client requests thirty results of a hundred kilobytes, and subscribes to the stock.
        let subscribe = json!({
            "type": "subscribe", "id": "stock",
            "payload": { "query": STOCK, "variables": { "id": market.drop } },
        });
        stream.write_all(&frame(&subscribe.to_string())).await.unwrap();
        for id in 0..30 {
            let ask = json!({ "type": "subscribe", "id": id.to_string(), "payload": introspection });
            // The server may have closed the connection already.
            let _sent = stream.write_all(&frame(&ask.to_string())).await;
        }
    }
    let mut most = 0;
    for (left, buyer) in [(9, 0), (8, 1), (7, 2), (6, 3)] {
        market.reserve(&market.buyers[buyer]).await;
        let asked = Instant::now();
        assert_eq!(free(&reader.data("1").await), left);
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "a reader waited {:?} for those who do not read",
            asked.elapsed()
        );
        most = most.max(memory(&market));
    }
    let grown = most.saturating_sub(before) / 1_024;
    // The clients requested 120 MB. Most of the memory is used to compute the few results that are pending.
    println!("{SLOW} clients that never read: {grown} kB");
    assert!(grown < 60 * 1_024, "{grown} kB");
    // All clients are disconnected, although none of them has closed its connection.
    let patience = Instant::now();
    loop {
        let metrics = market.client().get(market.at("/metrics")).send().await.unwrap().text().await.unwrap();
        if metrics.lines().any(|line| line == "smallrun_live_connections 1") {
            break;
        }
        assert!(patience.elapsed() < SOON, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(greedy);
}
