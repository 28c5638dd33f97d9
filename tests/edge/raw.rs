//! Raw sockets, to send bytes that no client library would send.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::edge::harness::Server;

/// How often a slow client sends its next byte.
const DRIBBLE_EVERY: Duration = Duration::from_millis(50);

/// Opens a connection from the address `127.0.0.HOST`. All of `127.0.0.0/8` belongs to this machine.
pub(crate) async fn connect_from(server: &Server, host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)), 0)).unwrap();
    socket.connect(server.address().parse().unwrap()).await.unwrap()
}

pub(crate) async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address()).await.unwrap()
}

/// Reads until the server closes the connection, and returns the text and the time it took. Fails if the
/// server does not close the connection within that time.
pub(crate) async fn to_end(stream: &mut TcpStream, within: Duration) -> (String, Duration) {
    let began = Instant::now();
    let mut heard = Vec::new();
    let ended = tokio::time::timeout(within, async {
        let mut some = vec![0; 64 * 1024];
        // A reset counts as the end, too.
        while let Ok(read @ 1..) = stream.read(&mut some).await {
            heard.extend_from_slice(&some[..read]);
        }
    });
    let ended = ended.await.is_ok();
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(ended, "the connection was still open after {within:?}; received: {heard}");
    (heard, began.elapsed())
}

/// Sends bytes on a new connection, and reads until the server closes it.
pub(crate) async fn tell(server: &Server, bytes: &[u8], within: Duration) -> (String, Duration) {
    let mut stream = connect(server).await;
    // The server may refuse the request and close the connection during the write.
    let _cut_off = stream.write_all(bytes).await;
    to_end(&mut stream, within).await
}

/// Sends some bytes at once, then repeats a few bytes slowly and without end. Reads until the server closes
/// the connection.
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
    assert!(ended, "the connection was still open after {within:?}; received: {heard}");
    (heard, began.elapsed())
}

/// Returns the statuses of all responses in a text.
pub(crate) fn statuses(heard: &str) -> Vec<u16> {
    heard.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}
