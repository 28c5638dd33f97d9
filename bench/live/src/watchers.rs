//! Subscribers: each is a WebSocket that reads messages and records when it learns of a change. Every change
//! adds one to the sum of all units.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt, stream};
use tokio::{
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// The number of sockets that are opened concurrently.
const AT_ONCE: usize = 50;
/// Delays are counted in tenths of a millisecond, up to half a minute.
const DELAYS: usize = 300_000;
/// The timeout for the last change to reach all subscribers.
const LAST_WITHIN: Duration = Duration::from_secs(30);

/// The receive buffer of a subscriber that never reads, in bytes.
const ROOM: u32 = 4_096;

/// The subscribers.
pub(crate) struct Watchers {
    shared: Arc<Shared>,
    reading: Vec<JoinHandle<()>>,
    /// The subscribers that never read.
    _deaf: Vec<WebSocketStream<TcpStream>>,
}

struct Shared {
    /// The time of each change, by its number since the first.
    made: Mutex<Vec<Instant>>,
    /// The number of the first change.
    first: AtomicU64,
    delays: Vec<AtomicU64>,
    messages: AtomicUsize,
    /// The newest number that each subscriber knows.
    newest: Vec<AtomicU64>,
}

/// The received messages and their delays.
pub(crate) struct Told {
    pub(crate) messages: usize,
    delays: Vec<u64>,
}

impl Told {
    /// Returns a percentile of the delays in milliseconds.
    pub(crate) fn at(&self, percent: u64) -> f64 {
        let all: u64 = self.delays.iter().sum();
        let mut left = all.saturating_mul(percent).div_ceil(100);
        let place = self.delays.iter().position(|count| {
            left = left.saturating_sub(*count);
            left == 0
        });
        f64::from(u32::try_from(place.unwrap_or(0)).unwrap_or(u32::MAX)) / 10.0
    }
}

impl Watchers {
    /// Opens `count` subscribers and `deaf` ones that never read, and waits until each is subscribed with
    /// this message. Without a message they only listen.
    pub(crate) async fn open(
        address: SocketAddr,
        count: usize,
        deaf: usize,
        subscribe: Option<String>,
    ) -> Self {
        let shared = Arc::new(Shared {
            made: Mutex::default(),
            first: AtomicU64::new(u64::MAX),
            delays: (0..DELAYS).map(|_| AtomicU64::new(0)).collect(),
            messages: AtomicUsize::new(0),
            newest: (0..count).map(|_| AtomicU64::new(0)).collect(),
        });
        let open_all = async |count, room| {
            let sockets = stream::iter(0..count).map(|_| open(address, room, subscribe.clone()));
            sockets.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await
        };
        let (deaf, sockets) = (open_all(deaf, Some(ROOM)).await, open_all(count, None).await);
        let reading = sockets.into_iter().enumerate();
        let reading =
            reading.map(|(at, socket)| tokio::spawn(read(socket, at, Arc::clone(&shared)))).collect();
        Self { shared, reading, _deaf: deaf }
    }

    /// Sets the number of the first change.
    pub(crate) fn begin(&self, first: u64) {
        self.shared.first.store(first, Ordering::Relaxed);
    }

    /// Records that the next change was made.
    pub(crate) fn made(&self) {
        self.shared.made().push(Instant::now());
    }

    /// Waits until all subscribers know of the last change.
    pub(crate) async fn told(&self) -> Told {
        let made = u64::try_from(self.shared.made().len()).unwrap_or(u64::MAX);
        let last = self.shared.first.load(Ordering::Relaxed).saturating_add(made).saturating_sub(1);
        let patience = Instant::now();
        let know =
            || self.shared.newest.iter().filter(|newest| newest.load(Ordering::Relaxed) >= last).count();
        while know() < self.reading.len() {
            assert!(
                patience.elapsed() < LAST_WITHIN,
                "only {} of {} know of the last change",
                know(),
                self.reading.len()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let delays = self.shared.delays.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Told { messages: self.shared.messages.load(Ordering::Relaxed), delays }
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.reading.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    fn made(&self) -> std::sync::MutexGuard<'_, Vec<Instant>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn open(
    address: SocketAddr,
    room: Option<u32>,
    subscribe: Option<String>,
) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{address}/graphql").into_client_request().expect("an address");
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("graphql-transport-ws"));
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.expect("a socket");
    if let Some(room) = room {
        socket.set_recv_buffer_size(room).expect("the receive buffer can be set");
    }
    let stream = socket.connect(address).await.expect("the server accepts connections");
    let (mut socket, _) =
        tokio_tungstenite::client_async(request, stream).await.expect("the server accepts WebSockets");
    if let Some(subscribe) = subscribe {
        let init = Message::text(r#"{"type":"connection_init"}"#);
        socket.send(init).await.expect("the message is sent");
        socket.next().await.expect("the server responds").expect("the server acknowledges");
        socket.send(Message::text(subscribe)).await.expect("the message is sent");
        socket.next().await.expect("the server responds").expect("the server sends the current state");
    }
    socket
}

/// Returns the sum of all units in a message.
fn units_in(message: &str) -> Option<u64> {
    let mut parts = message.split("\"units\":");
    parts.next();
    let digits = |part: &str| {
        part.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse::<u64>().ok())
    };
    let units: Vec<u64> = parts.filter_map(digits).collect();
    (!units.is_empty()).then(|| units.iter().sum())
}

async fn read(mut socket: WebSocketStream<TcpStream>, at: usize, shared: Arc<Shared>) {
    let mut known = 0_usize;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let Some(number) = units_in(&text) else { continue };
        let now = Instant::now();
        shared.messages.fetch_add(1, Ordering::Relaxed);
        let Some(place) = number.checked_sub(shared.first.load(Ordering::Relaxed)) else { continue };
        let knows = usize::try_from(place).unwrap_or(usize::MAX).saturating_add(1);
        {
            let made = shared.made();
            // A change that arrives before its request was answered has no delay.
            for at in known..knows {
                let delay = made.get(at).map_or(Duration::ZERO, |made| now.saturating_duration_since(*made));
                let tenths = usize::try_from(delay.as_micros() / 100)
                    .unwrap_or(usize::MAX)
                    .min(DELAYS.saturating_sub(1));
                if let Some(count) = shared.delays.get(tenths) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        known = known.max(knows);
        if let Some(newest) = shared.newest.get(at) {
            newest.fetch_max(number, Ordering::Relaxed);
        }
    }
}
