//! The loop that measures: so many connections, each of which sends its next request when the last one is
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

/// A request that takes longer than this ends the measurement.
const PATIENCE: Duration = Duration::from_secs(30);

/// How to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// So many, each of which sends one request after the other.
    pub connections: u32,
    /// Goes before the measured time, and is not counted.
    pub warm_up: Duration,
    /// What is counted.
    pub time: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Requests.
    pub per_second: f64,
    /// Half of them took longer.
    pub median: Duration,
    /// One in a hundred took longer.
    pub p99: Duration,
}

impl Summary {
    /// Of requests that took so long, in so much time.
    pub fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Outcome<Self> {
        latencies.sort_unstable();
        let count = latencies.len();
        let (Some(median), Some(p99)) = (rank(&latencies, 50), rank(&latencies, 99)) else {
            return Err(Trouble::new("nothing was answered in time"));
        };
        let done = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Self { per_second: done / elapsed.as_secs_f64(), median, p99 })
    }
}

/// The time within which so many percent of sorted times lie; `None` of none.
pub fn rank(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted
        .get(sorted.len().saturating_mul(percent).div_euclid(100).min(sorted.len().saturating_sub(1)))
        .copied()
}

/// One of the first `among` numbers for each number, as if by chance, and in every run the same (SplitMix64's
/// finalizer).
pub fn scattered(number: u64, among: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits ^ (bits >> 31)).checked_rem(among).unwrap_or(0)
}

/// What one connection does over and over.
pub trait Work: Send + Sized + 'static {
    /// Done before the time is taken.
    fn prepare(&mut self) -> impl Future<Output = Outcome<()>> + Send;
    /// One request, answered well; anything else is a reason to give up.
    fn once(&mut self) -> impl Future<Output = Outcome<()>> + Send;
}

/// Measures. `work` is made for each connection, by its number.
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
    let (Some(from), Some(until)) = (from, until) else { return Err(Trouble::new("the time is too long")) };
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

/// Requests that begin within the time are counted, and waited for.
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

/// Writes the next request in the place of the last one.
type NextRequest = Box<dyn FnMut(&mut Vec<u8>) + Send>;

/// Makes requests, and tells good answers from bad ones.
pub struct Calls {
    address: SocketAddr,
    connection: Option<Connection>,
    next: NextRequest,
    is_good: fn(&[u8]) -> bool,
    request: Vec<u8>,
}

impl Calls {
    /// The same query over and over.
    pub fn repeated(address: SocketAddr, request: Vec<u8>) -> Self {
        Self { address, connection: None, next: Box::new(|_| {}), is_good: has_no_errors, request }
    }

    /// Another request each time, made by `next`.
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

/// Whether a query was answered in full: GraphQL's list of errors comes last, and ends with a bracket.
pub fn has_no_errors(body: &[u8]) -> bool {
    body.starts_with(b"{\"data\":{") && body.ends_with(b"}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_of_all_latencies() {
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
