//! The requests of a span of time, and their responses.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bench::load::rank;
use serde_json::{Value, json};

use crate::{processor::Shares, rounds::millis, said::Said};

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// The page of drops.
    Page,
    /// A unit.
    Unit,
}

/// A request and its result.
#[derive(Debug, Clone, Copy)]
struct Record {
    wish: Wish,
    /// When the request was due and when its response arrived, relative to the beginning of the phase.
    due: Duration,
    answered: Duration,
    /// `None` when the connection was lost or no response arrived.
    said: Option<Said>,
}

/// A span of time in which requests are sent at a steady rate, regardless of the responses.
pub(super) struct Phase {
    pub(super) began: Instant,
    /// The duration of sending.
    pub(super) time: Duration,
    /// Requests for which the load generator had no connection left.
    unsent: Mutex<Vec<Wish>>,
    records: Mutex<Vec<Record>>,
    oddity: Mutex<Option<String>>,
    /// The time at which no buyer was left who may reserve a unit.
    ran_out: Mutex<Option<Duration>>,
}

/// Locks a mutex and ignores poisoning: the counts are valid anyway.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Phase {
    pub(super) fn begin(time: Duration) -> Self {
        Self {
            began: Instant::now(),
            time,
            unsent: Mutex::default(),
            records: Mutex::default(),
            oddity: Mutex::default(),
            ran_out: Mutex::default(),
        }
    }

    pub(super) fn answered(&self, wish: Wish, due: Duration, said: Option<Said>) {
        let record = Record { wish, due, answered: self.began.elapsed(), said };
        locked(&self.records).push(record);
    }

    pub(super) fn could_not_send(&self, wish: Wish) {
        locked(&self.unsent).push(wish);
    }

    pub(super) fn odd(&self, text: String) {
        locked(&self.oddity).get_or_insert(text);
    }

    pub(super) fn ran_out_of_buyers(&self) {
        locked(&self.ran_out).get_or_insert(self.began.elapsed());
    }

    /// Counts the results of the requests for this.
    pub(super) fn counts(&self, wish: Wish) -> Counts {
        let mut counts = Counts {
            unsent: locked(&self.unsent).iter().filter(|unsent| **unsent == wish).count(),
            ..Counts::default()
        };
        for record in locked(&self.records).iter().filter(|record| record.wish == wish) {
            let kind = match record.said {
                Some(Said::Accepted | Said::Page) => &mut counts.served,
                Some(Said::SoldOut | Said::Refused) => &mut counts.refused,
                Some(Said::Busy(secs)) => {
                    counts.busy_without_time =
                        counts.busy_without_time.saturating_add(usize::from(secs.is_none()));
                    &mut counts.busy
                }
                Some(Said::Odd) => &mut counts.odd,
                None => &mut counts.lost,
            };
            *kind = kind.saturating_add(1);
        }
        counts
    }

    /// Returns the decisions per second while requests were sent, without the very beginning, in which
    /// nothing can have been decided.
    pub(super) fn goodput(&self) -> f64 {
        let until = locked(&self.ran_out).unwrap_or(self.time);
        let from = (until / 4).min(Duration::from_millis(500));
        let decided = |record: &&Record| {
            record.said.is_some_and(Said::is_decision) && record.answered >= from && record.answered <= until
        };
        number(locked(&self.records).iter().filter(decided).count())
            / until.saturating_sub(from).as_secs_f64()
    }

    /// Returns the time of the last decision since the beginning of the phase.
    fn decided_after(&self) -> Option<Duration> {
        let records = locked(&self.records);
        records
            .iter()
            .filter(|record| record.said.is_some_and(Said::is_decision))
            .map(|record| record.answered)
            .max()
    }

    /// Returns the sorted latencies, measured from when a request was due: what a client sees.
    pub(super) fn latencies(&self, wish: Wish, which: impl Fn(Said) -> bool) -> Vec<Duration> {
        let records = locked(&self.records);
        let some = records.iter().filter(|record| record.wish == wish && record.said.is_some_and(&which));
        let mut latencies: Vec<Duration> =
            some.map(|record| record.answered.saturating_sub(record.due)).collect();
        latencies.sort_unstable();
        latencies
    }

    /// Returns the time since which `in_a_row` requests in a row were served within `within`, or `None` if
    /// that never happened. Until then the server had not recovered.
    pub(super) fn usual_since(&self, within: Duration, in_a_row: usize) -> Option<Duration> {
        let mut records = locked(&self.records).clone();
        records.sort_by_key(|record| record.due);
        let (mut row, mut since) = (0_usize, Duration::ZERO);
        for record in records {
            if record.said == Some(Said::Accepted) && record.answered.saturating_sub(record.due) <= within {
                since = if row == 0 { record.due } else { since };
                row = row.saturating_add(1);
            } else {
                row = 0;
            }
            if row >= in_a_row {
                return Some(since);
            }
        }
        None
    }

    /// Renders the results as lines.
    pub(super) fn lines(&self, title: &str, shares: Shares) -> Vec<String> {
        let last = self.decided_after().unwrap_or_default().as_secs_f64();
        let mut lines = vec![
            format!(
                "  {title:<22}{:>7.0} decided/s during the load, the last decision after {last:.2} s",
                self.goodput()
            ),
            format!("      {}", shares.text()),
        ];
        for (wish, what) in [(Wish::Unit, "a unit"), (Wish::Page, "the page")] {
            let counts = self.counts(wish);
            let served = shown(&self.latencies(wish, |said| !matches!(said, Said::Busy(_) | Said::Odd)));
            let busy = shown(&self.latencies(wish, |said| matches!(said, Said::Busy(_))));
            lines.push(format!(
                "      {what:<9} served {} ({served}), refused {}, BUSY {} = {:.0} % ({busy}), \
                 lost {}, odd {}, not sent {}",
                counts.served,
                counts.refused,
                counts.busy,
                counts.busy_share() * 100.0,
                counts.lost,
                counts.odd,
                counts.unsent
            ));
            if counts.busy_without_time > 0 {
                lines.push(format!("      BUSY without a time to retry: {}", counts.busy_without_time));
            }
        }
        lines.extend(
            locked(&self.oddity).as_ref().map(|text| format!("      the first odd response: {text}")),
        );
        if let Some(after) = *locked(&self.ran_out) {
            lines.push(format!(
                "      no buyer was left after {:.1} s: raise --opening-buyers",
                after.as_secs_f64()
            ));
        }
        lines
    }

    /// Renders the results as JSON.
    pub(super) fn json(&self, shares: Shares) -> Value {
        let of = |wish| {
            let counts = self.counts(wish);
            let of_those = |which: fn(Said) -> bool| {
                let latencies = self.latencies(wish, which);
                json!({
                    "p50Ms": rank(&latencies, 50).map(millis), "p99Ms": rank(&latencies, 99).map(millis),
                })
            };
            json!({
                "served": counts.served, "refused": counts.refused, "busy": counts.busy,
                "busyShare": counts.busy_share(), "busyWithoutTime": counts.busy_without_time,
                "lost": counts.lost, "odd": counts.odd, "unsent": counts.unsent,
                "servedLatency": of_those(|said| !matches!(said, Said::Busy(_) | Said::Odd)),
                "busyLatency": of_those(|said| matches!(said, Said::Busy(_))),
            })
        };
        json!({
            "seconds": self.time.as_secs_f64(),
            "lastDecidedAfterSeconds": self.decided_after().map(|after| after.as_secs_f64()),
            "decidedPerSecond": self.goodput(), "unit": of(Wish::Unit), "page": of(Wish::Page),
            "ranOutAfterSeconds": locked(&self.ran_out).map(|after| after.as_secs_f64()),
            "processors": shares.json(),
        })
    }
}

/// The number of requests of one kind by result.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    served: usize,
    refused: usize,
    busy: usize,
    busy_without_time: usize,
    odd: usize,
    lost: usize,
    unsent: usize,
}

impl Counts {
    /// Returns the part of the sent requests that got `BUSY`.
    pub(super) fn busy_share(&self) -> f64 {
        let sent = [self.served, self.refused, self.busy, self.odd, self.lost].into_iter().sum::<usize>();
        if sent == 0 { 0.0 } else { number(self.busy) / number(sent) }
    }

    /// Returns the number of requests without a response, or with one that is neither a result nor `BUSY`.
    pub(super) fn failed(&self) -> usize {
        self.odd.saturating_add(self.lost)
    }
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn shown(sorted: &[Duration]) -> String {
    match (rank(sorted, 50), rank(sorted, 99)) {
        (Some(p50), Some(p99)) => format!("p50 {:.1} ms, p99 {:.1} ms", millis(p50), millis(p99)),
        _ => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_has_recovered_once_enough_requests_in_a_row_were_quick() {
        let phase = Phase::begin(Duration::from_secs(1));
        let record = |due: u64, took: u64, said| {
            let due = Duration::from_millis(due);
            let answered = due + Duration::from_millis(took);
            locked(&phase.records).push(Record { wish: Wish::Unit, due, answered, said: Some(said) });
        };
        record(0, 300, Said::Accepted);
        record(50, 5, Said::Accepted);
        record(100, 5, Said::Busy(Some(1)));
        record(150, 5, Said::Accepted);
        assert_eq!(phase.usual_since(Duration::from_millis(10), 2), None);
        record(200, 5, Said::Accepted);
        assert_eq!(phase.usual_since(Duration::from_millis(10), 2), Some(Duration::from_millis(150)));
        let counts = phase.counts(Wish::Unit);
        assert_eq!((counts.served, counts.busy), (4, 1));
        assert!((counts.busy_share() - 0.2).abs() < 1e-9);
    }
}
