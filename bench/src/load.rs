//! The measuring loop: a number of connections, each of which sends its next request when the last one is
//! answered.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    Outcome, Trouble,
    client::{Answer, Connection},
};

/// The timeout of a request. Beyond it the measurement fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The parameters of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The number of connections, each of which sends one request after the other.
    pub connections: u32,
    /// The warm-up before the measured time, which is not counted.
    pub warm_up: Duration,
    /// The measured time.
    pub time: Duration,
}

/// The results of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// The number of requests per second.
    pub per_second: f64,
    /// The median latency.
    pub median: Duration,
    /// The 99th percentile of the latency.
    pub p99: Duration,
}

impl Summary {
    /// Summarizes the latencies of requests that were made within `elapsed`.
    pub fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Outcome<Self> {
        latencies.sort_unstable();
        let count = latencies.len();
        let (Some(median), Some(p99)) = (rank(&latencies, 50), rank(&latencies, 99)) else {
            return Err(Trouble::new("no request was answered in time"));
        };
        let done = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Self { per_second: done / elapsed.as_secs_f64(), median, p99 })
    }
}

/// Returns a percentile of sorted times, or `None` if there are none.
pub fn rank(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted
        .get(sorted.len().saturating_mul(percent).div_euclid(100).min(sorted.len().saturating_sub(1)))
        .copied()
}

/// Maps each number to a pseudo-random number below `among` that is the same in every run (SplitMix64's
/// finalizer).
pub fn scattered(number: u64, among: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits ^ (bits >> 31)).checked_rem(among).unwrap_or(0)
}

/// The repeated work of one connection.
pub trait Work: Send + Sized + 'static {
    /// Prepares the work before the measurement starts.
    fn prepare(&mut self) -> impl Future<Output = Outcome<()>> + Send;
    /// Makes one successful request. Any error ends the measurement.
    fn once(&mut self) -> impl Future<Output = Outcome<()>> + Send;
}

/// Runs a measurement. `work` creates the work of each connection from its number.
pub async fn run<W: Work>(plan: Plan, work: impl Fn(u32) -> W) -> Outcome<Summary> {
    let mut ready = JoinSet::new();
    for connection in 0..plan.connections {
        let mut work = work(connection);
        ready.spawn(async move { work.prepare().await.map(|()| work) });
    }
    let mut prepared = Vec::new();
    while let Some(work) = ready.join_next().await {
        prepared.push(work.map_err(Trouble::new)??);
    }
    let from = Instant::now().checked_add(plan.warm_up);
    let until = from.and_then(|from| from.checked_add(plan.time));
    let (Some(from), Some(until)) = (from, until) else {
        return Err(Trouble::new("the measured time is too long"));
    };
    let mut running = JoinSet::new();
    for work in prepared {
        running.spawn(repeat(work, from, until));
    }
    let mut latencies = Vec::new();
    let mut last = until;
    while let Some(done) = running.join_next().await {
        let (of_one, ended) = done.map_err(Trouble::new)??;
        latencies.extend(of_one);
        last = last.max(ended);
    }
    Summary::of(latencies, last.duration_since(from))
}

/// Counts requests that begin within the measured time, and waits for their responses.
async fn repeat(mut work: impl Work, from: Instant, until: Instant) -> Outcome<(Vec<Duration>, Instant)> {
    let mut latencies = Vec::with_capacity(1 << 16);
    loop {
        let begin = Instant::now();
        if begin >= until {
            return Ok((latencies, begin));
        }
        let done = tokio::time::timeout(PATIENCE, work.once()).await;
        done.map_err(|_| Trouble::new("a request took longer than 30 seconds"))??;
        if begin >= from {
            latencies.push(begin.elapsed());
        }
    }
}

/// Renders the next request into the buffer.
type NextRequest = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// Makes requests and checks their responses.
pub struct Calls {
    address: SocketAddr,
    connection: Option<Connection>,
    next: NextRequest,
    is_good: fn(&[u8]) -> bool,
    request: Vec<u8>,
}

impl Calls {
    /// Creates calls that repeat one query.
    pub fn repeated(address: SocketAddr, request: Vec<u8>) -> Self {
        Self { address, connection: None, next: Box::new(|_| {}), is_good: has_no_errors, request }
    }

    /// Creates calls with a new request each time, rendered by `next`.
    pub fn changing(
        address: SocketAddr,
        next: impl FnMut(&mut Vec<u8>) + Send + 'static,
        is_good: fn(&[u8]) -> bool,
    ) -> Self {
        Self { address, connection: None, next: Box::new(next), is_good, request: Vec::new() }
    }
}

impl Work for Calls {
    async fn prepare(&mut self) -> Outcome<()> {
        self.connection = Some(Connection::open(self.address).await?);
        Ok(())
    }

    async fn once(&mut self) -> Outcome<()> {
        let Some(connection) = &mut self.connection else { return Err(Trouble::new("not connected")) };
        (self.next)(&mut self.request);
        let Answer { status, body } = connection.exchange(&self.request).await?;
        if status == 200 && (self.is_good)(body) {
            return Ok(());
        }
        let shown: String = String::from_utf8_lossy(body).chars().take(400).collect();
        Err(Trouble::new(format_args!("the server answered {status} {shown}")))
    }
}

/// Returns whether a query was answered completely. GraphQL's list of errors comes last and ends with a
/// bracket.
pub fn has_no_errors(body: &[u8]) -> bool {
    body.starts_with(b"{\"data\":{") && body.ends_with(b"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_covers_all_latencies() {
        let latencies = (0..200).rev().map(Duration::from_millis).collect();
        let summary = Summary::of(latencies, Duration::from_secs(4)).unwrap();
        assert_eq!((summary.median, summary.p99), (Duration::from_millis(100), Duration::from_millis(198)));
        assert!((summary.per_second - 50.0).abs() < 1e-9);
        assert!(Summary::of(Vec::new(), Duration::from_secs(4)).is_err());
    }

    #[test]
    fn numbers_are_scattered_evenly() {
        let mut counts = [0_u32; 10];
        for number in 0..10_000 {
            counts[usize::try_from(scattered(number, 10)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    #[test]
    fn an_answer_with_errors_is_not_good() {
        assert!(has_no_errors(br#"{"data":{"drops":{"nodes":[]}}}"#));
        assert!(!has_no_errors(br#"{"data":{"drops":null},"errors":[{"message":"no"}]}"#));
        assert!(!has_no_errors(br#"{"data":null,"errors":[{"message":"no"}]}"#));
    }
}
