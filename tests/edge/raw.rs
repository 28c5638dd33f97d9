//! Sockets that say what no client library would.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::harness::Server;

/// How often a slow client sends its next byte.
const DRIBBLE_EVERY: Duration = Duration::from_millis(50);

/// A connection from an address of this machine: all of `127.0.0.0/8` are.
pub(crate) async fn connect_from(server: &Server, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0)).unwrap();
    socket.connect(server.address().parse().unwrap()).await.unwrap()
}

pub(crate) async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.unwrap()
}

/// What comes until the server ends the connection, and how long that took. It must within that time.
pub(crate) async fn to_end(stream: &mut TcpStream, within: Duration) -> (String, Duration) {
    let began = Instant::now();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(within, async {
        let mut some = vec![0; 64 * 1024];
        // A reset is an end, too.
        while let Ok(read @ 1..) = stream.read(&mut some).await {
            heard.extend_from_slice(&some[..read]);
        }
    });
    let ended = ended.await.is_ok();
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(ended, "the connection was still there after {within:?}; heard: {heard}");
    (heard, began.elapsed())
}

/// Sends something at once, hears what comes until the end.
pub(crate) async fn tell(server: &Server, bytes: &[u8], within: Duration) -> (String, Duration) {
    let mut stream = connect(server).await;
    // Who is refused early may be cut off while it still sends.
    let _cut_off = stream.write_all(bytes).await;
    to_end(&mut stream, within).await
}

/// Sends some bytes at once and then the same few for ever, slowly; hears what comes until the end.
pub(crate) async fn dribble(
    stream: TcpStream,
    at_once: &[u8],
    for_ever: &'static [u8],
    within: Duration,
) -> (String, Duration) {
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(at_once).await.unwrap();
    let dribbling = tokio::spawn(async move {
        let mut next = tokio::time::interval(DRIBBLE_EVERY);
        loop {
            next.tick().await;
            if writer.write_all(for_ever).await.is_err() {
                return;
            }
        }
    });
    let began = Instant::now();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(within, async {
        let mut some = vec![0; 4096];
        while let Ok(read @ 1..) = reader.read(&mut some).await {
            heard.extend_from_slice(&some[..read]);
        }
    });
    let ended = ended.await.is_ok();
    dribbling.abort();
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(ended, "the connection was still there after {within:?}; heard: {heard}");
    (heard, began.elapsed())
}

/// The statuses of all answers in a text.
pub(crate) fn statuses(heard: &str) -> Vec<u16> {
    heard.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}
