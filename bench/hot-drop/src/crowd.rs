//! A closed loop: each buyer makes one reservation with an idempotency key of its own. Each connection sends
//! its next request when the last one is decided. A buyer who gets `BUSY` retries after the given time with
//! the same key.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bench::{
    Outcome, Trouble,
    load::{Summary, scattered},
    reserve::Form,
};
use tokio::task::JoinSet;

use crate::{
    line::Line,
    processor::{Shares, Watch},
    said::{Said, shown},
};

/// The maximum number of tries of a buyer before the measurement fails.
const TRIES_MAX: u32 = 30;
/// The maximum delay before the next try, in seconds.
const RETRY_SECS_MAX: u32 = 5;

/// The parameters of a crowd.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    /// The servers that connections are spread over, each with its template of a request.
    pub(crate) counters: Vec<(SocketAddr, Form)>,
    /// The token of each buyer.
    pub(crate) tokens: Arc<[String]>,
    /// Each buyer reserves one of these at random.
    pub(crate) items: Arc<[String]>,
    pub(crate) connections: u32,
    /// The prefix of the idempotency keys, which is unique to this crowd.
    pub(crate) name: String,
}

/// The results of a crowd.
#[derive(Debug, Clone)]
pub(crate) struct Pressed {
    /// The latencies of decisions.
    pub(crate) summary: Summary,
    pub(crate) counts: Counts,
    pub(crate) shares: Shares,
}

/// The number of responses by kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u32,
    pub(crate) sold_out: u32,
    pub(crate) refused: u32,
    /// The number of `BUSY` responses before a decision.
    pub(crate) busy: u32,
    /// The text of the first refusal, if there were any.
    pub(crate) refusal: Option<String>,
}

impl Crowd {
    /// Runs the crowd. `servers` are the process ids of the servers.
    pub(crate) async fn press(self, servers: Vec<u32>) -> Outcome<Pressed> {
        let mut lines = Vec::new();
        for (address, form) in
            self.counters.iter().cycle().take(usize::try_from(self.connections).unwrap_or(1))
        {
            lines.push((Line::open(*address).await?, form.clone()));
        }
        let (crowd, turn) = (Arc::new(self), Arc::new(AtomicUsize::new(0)));
        let (watch, began) = (Watch::begin(servers), Instant::now());
        let mut pressing = JoinSet::new();
        for (line, form) in lines {
            pressing.spawn(Arc::clone(&crowd).one_by_one(line, form, Arc::clone(&turn)));
        }
        let (mut latencies, mut counts) = (Vec::new(), Counts::default());
        while let Some(done) = pressing.join_next().await {
            let (of_one, counted) = done.map_err(Trouble::new)??;
            latencies.extend(of_one);
            counts.add(counted);
        }
        let (elapsed, shares) = (began.elapsed(), watch.end());
        Ok(Pressed { summary: Summary::of(latencies, elapsed)?, counts, shares })
    }

    async fn one_by_one(
        self: Arc<Self>,
        mut line: Line,
        form: Form,
        turn: Arc<AtomicUsize>,
    ) -> Outcome<(Vec<Duration>, Counts)> {
        let (mut latencies, mut counts, mut request) = (Vec::new(), Counts::default(), Vec::new());
        loop {
            let number = turn.fetch_add(1, Ordering::Relaxed);
            let Some(token) = self.tokens.get(number) else { return Ok((latencies, counts)) };
            let place =
                scattered(u64::try_from(number).unwrap_or(0), u64::try_from(self.items.len()).unwrap_or(1));
            let item = usize::try_from(place).ok().and_then(|place| self.items.get(place));
            let item = item.ok_or_else(|| Trouble::new("there are no items"))?;
            form.fill_in(&mut request, token, item, &format!("{}-{number:06}", self.name));
            let begin = Instant::now();
            decided(&mut line, &request, &mut counts).await?;
            latencies.push(begin.elapsed());
        }
    }
}

/// Sends a request until it is decided, and counts the responses.
async fn decided(line: &mut Line, request: &[u8], counts: &mut Counts) -> Outcome<()> {
    for _ in 0..TRIES_MAX {
        let (said, text) = line
            .ask(request, |answer| match Said::of_reservation(answer) {
                said @ (Said::Refused | Said::Odd) => (said, shown(answer)),
                said => (said, String::new()),
            })
            .await?;
        match said {
            Said::Accepted => counts.accepted = counts.accepted.saturating_add(1),
            Said::SoldOut => counts.sold_out = counts.sold_out.saturating_add(1),
            Said::Refused => {
                counts.refused = counts.refused.saturating_add(1);
                counts.refusal.get_or_insert(text);
            }
            Said::Busy(secs) => {
                counts.busy = counts.busy.saturating_add(1);
                tokio::time::sleep(Duration::from_secs(secs.unwrap_or(1).min(RETRY_SECS_MAX).into())).await;
                continue;
            }
            Said::Page | Said::Odd => return Err(Trouble::new(format_args!("the server answered {text}"))),
        }
        return Ok(());
    }
    Err(Trouble::new(format_args!("the server was busy {TRIES_MAX} times in a row")))
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.accepted = self.accepted.saturating_add(other.accepted);
        self.sold_out = self.sold_out.saturating_add(other.sold_out);
        self.refused = self.refused.saturating_add(other.refused);
        self.busy = self.busy.saturating_add(other.busy);
        self.refusal = self.refusal.take().or(other.refusal);
    }
}
