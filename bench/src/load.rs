//! The loop that measures: so many connections, each of which sends its next request when the last one is answered.

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
pub(crate) struct Plan {
    pub(crate) connections: u32,
    /// Goes before the measured time, and is not counted.
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) per_second: f64,
    pub(crate) median: Duration,
    /// One in a hundred took longer.
    pub(crate) p99: Duration,
}

impl Summary {
    fn of(mut latencies: Vec<Duration>, elapsed: Duration) -> Outcome<Self> {
        latencies.sort_unstable();
        let count = latencies.len();
        let rank = |percent: usize| latencies.get(count.saturating_mul(percent).div_euclid(100)).copied();
        let (Some(median), Some(p99)) = (rank(50), rank(99)) else { return Err(Trouble::new("nothing was answered in time")) };
        let done = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        Ok(Self { per_second: done / elapsed.as_secs_f64(), median, p99 })
    }
}

/// What one connection does over and over.
pub(crate) trait Work: Send + Sized + 'static {
    /// Done before the time is taken.
    fn prepare(&mut self) -> impl Future<Output = Outcome<()>> + Send;
    /// One request, answered well; anything else is a reason to give up.
    fn once(&mut self) -> impl Future<Output = Outcome<()>> + Send;
}

/// Measures. `work` is made for each connection, by its number.
pub(crate) async fn run<W: Work>(plan: Plan, work: impl Fn(u32) -> W) -> Outcome<Summary> {
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
pub(crate) struct Calls {
    address: SocketAddr,
    connection: Option<Connection>,
    next: NextRequest,
    is_good: fn(&[u8]) -> bool,
    request: Vec<u8>,
}

impl Calls {
    /// The same query over and over.
    pub(crate) fn repeated(address: SocketAddr, request: Vec<u8>) -> Self {
        Self { address, connection: None, next: Box::new(|_| {}), is_good: has_no_errors, request }
    }

    /// Another request each time, made by `next`.
    pub(crate) fn changing(
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
pub(crate) fn has_no_errors(body: &[u8]) -> bool {
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
    fn an_answer_with_errors_is_not_good() {
        assert!(has_no_errors(br#"{"data":{"drops":{"nodes":[]}}}"#));
        assert!(!has_no_errors(br#"{"data":{"drops":null},"errors":[{"message":"no"}]}"#));
        assert!(!has_no_errors(br#"{"data":null,"errors":[{"message":"no"}]}"#));
    }
}
