//! A crowd that presses: each buyer once, with a key of his own, over so many connections, each of which
//! sends its next request when the last one is decided. Who is told that the server is busy comes again when
//! he is told to, with his key.

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

/// Who comes again so often and is always told to come later gives up.
const TRIES_MAX: u32 = 30;
/// Nobody waits longer for the next try.
const RETRY_SECS_MAX: u32 = 5;

/// Who presses, where, and for what.
#[derive(Debug, Clone)]
pub(crate) struct Crowd {
    /// The servers, over which connections are spread, each with its form.
    pub(crate) counters: Vec<(SocketAddr, Form)>,
    /// One of each buyer.
    pub(crate) tokens: Arc<[String]>,
    /// For each buyer one of these, by chance.
    pub(crate) items: Arc<[String]>,
    pub(crate) connections: u32,
    /// Begins the keys: no crowd has those of another.
    pub(crate) name: String,
}

/// What became of it.
#[derive(Debug, Clone)]
pub(crate) struct Pressed {
    /// Of decisions.
    pub(crate) summary: Summary,
    pub(crate) counts: Counts,
    pub(crate) shares: Shares,
}

/// Answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: u32,
    pub(crate) sold_out: u32,
    pub(crate) refused: u32,
    /// Told to come again, before the decision.
    pub(crate) busy: u32,
    /// The first of the refusals, if there were any.
    pub(crate) refusal: Option<String>,
}

impl Crowd {
    /// Presses. These are the servers' processes.
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
            let item = item.ok_or_else(|| Trouble::new("there is nothing to be had"))?;
            form.fill_in(&mut request, token, item, &format!("{}-{number:06}", self.name));
            let begin = Instant::now();
            decided(&mut line, &request, &mut counts).await?;
            latencies.push(begin.elapsed());
        }
    }
}

/// Asks until there is a decision, and counts it.
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
