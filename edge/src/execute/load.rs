//! Shedding: when more is asked than can be done, some of it is not begun, so that the rest is done in time.
//!
//! How busy this process is shows in how long operations wait until they are run: a measure that needs no
//! number of processors and no estimate of costs (as in CoDel: Nichols and Jacobson, "Controlling Queue
//! Delay", ACM Queue 10(5), 2012). What is shed first says the [`Class`] of a document. Between two bounds
//! the share that is shed grows with the wait, so that there is no swing between all and nothing.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::guard::{Class, Shedding};

const SHED: &str = "smallrun_graphql_shed_total";
const WAIT: &str = "smallrun_graphql_wait_seconds";

/// How much the newest wait counts.
const WEIGHT: f64 = 0.1;
/// From which wait on, in parts of the wait from which on anything is shed, it counts that the program behind
/// is crowded.
const CROWDED_FROM: f64 = 0.25;
/// A wait that was measured so long ago says nothing any more.
const OLD: Duration = Duration::from_secs(1);
/// Of so many, one is let through whatever the load, so that its wait tells when it is over.
const ONE_IN: u64 = 50;
/// When who is turned away may come again.
pub(super) const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How busy a process is.
#[derive(Debug)]
pub(super) struct Load {
    /// The wait from which on anything is shed, in seconds; infinite where nothing ever is.
    from_secs: f64,
    waits: Mutex<Waits>,
    asked: AtomicU64,
}

#[derive(Debug)]
struct Waits {
    mean_secs: f64,
    measured_at: Instant,
}

impl Load {
    /// Sheds from that wait on; zero is never.
    pub(super) fn new(from: Duration) -> Self {
        let from_secs = if from.is_zero() { f64::INFINITY } else { from.as_secs_f64() };
        metrics::describe_counter!(
            SHED,
            "Requests that were not begun because there was too much to do, by what they do."
        );
        metrics::describe_histogram!(WAIT, "From the arrival of a request until it is run.");
        Self {
            from_secs,
            waits: Mutex::new(Waits { mean_secs: 0.0, measured_at: Instant::now() }),
            asked: AtomicU64::new(0),
        }
    }

    /// An operation waited so long until it was run.
    pub(super) fn note(&self, waited: Duration, now: Instant) {
        metrics::histogram!(WAIT).record(waited);
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let before =
            if now.saturating_duration_since(waits.measured_at) > OLD { 0.0 } else { waits.mean_secs };
        *waits =
            Waits { mean_secs: before * (1.0 - WEIGHT) + waited.as_secs_f64() * WEIGHT, measured_at: now };
    }

    fn wait(&self, now: Instant) -> f64 {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(waits.measured_at) > OLD { 0.0 } else { waits.mean_secs }
    }

    /// Whether anything may be turned away at present.
    pub(super) fn is_busy(&self, now: Instant) -> bool {
        self.wait(now) > self.from_secs * CROWDED_FROM
    }

    /// Whether a request of that class is turned away. Where requests wait here, and the program behind is
    /// crowded as well, nearly all that may be shed are: they would wait here, only to be turned away there.
    pub(super) fn sheds(&self, class: Class, crowded: bool, now: Instant) -> bool {
        let Some(Shedding { from, nearly_all_from }) = class.shed else { return false };
        let wait = self.wait(now) / self.from_secs;
        let share = if crowded && wait > CROWDED_FROM {
            1.0
        } else {
            ((wait - from) / (nearly_all_from - from)).clamp(0.0, 1.0)
        };
        if share == 0.0 {
            return false;
        }
        // Evenly spread: of each fifty, as many as the share says, but never all.
        let turn = self.asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(29) % ONE_IN;
        let shed = turn != 0
            && f64::from(u32::try_from(turn).unwrap_or(0))
                <= share * f64::from(u32::try_from(ONE_IN).unwrap_or(0));
        if shed {
            metrics::counter!(SHED, "class" => class.name).increment(1);
        }
        shed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Class = Class { name: "read", shed: Some(Shedding { from: 1.0, nearly_all_from: 4.0 }) };
    const WRITE: Class = Class { name: "write", shed: Some(Shedding { from: 4.0, nearly_all_from: 10.0 }) };
    const PAY: Class = Class { name: "pay", shed: None };

    #[test]
    fn each_class_is_shed_from_its_own_wait_on_and_some_never_are() {
        let now = Instant::now();
        for (millis, expected) in [
            (0, [0, 0, 0]),
            (150, [0, 0, 0]),
            (500, [25, 0, 0]),
            (800, [49, 0, 0]),
            (1_400, [49, 25, 0]),
            (9_000, [49, 49, 0]),
        ] {
            let load = Load::new(Duration::from_millis(200));
            (0..200).for_each(|_| load.note(Duration::from_millis(millis), now));
            let shed =
                [READ, WRITE, PAY].map(|class| (0..50).filter(|_| load.sheds(class, false, now)).count());
            let near = shed.iter().zip(expected).all(|(shed, expected)| shed.abs_diff(expected) <= 1);
            assert!(near, "{millis} ms: {shed:?}, not {expected:?}");
        }
    }

    #[test]
    fn where_the_program_behind_is_crowded_those_who_would_wait_for_nothing_are_turned_away_at_once() {
        let now = Instant::now();
        for (millis, expected) in [(40, [0, 0, 0]), (60, [49, 49, 0])] {
            let load = Load::new(Duration::from_millis(200));
            (0..200).for_each(|_| load.note(Duration::from_millis(millis), now));
            let shed =
                [READ, WRITE, PAY].map(|class| (0..50).filter(|_| load.sheds(class, true, now)).count());
            assert_eq!(shed, expected, "{millis} ms");
        }
    }

    #[test]
    fn a_load_that_is_over_is_forgotten() {
        let now = Instant::now();
        let load = Load::new(Duration::from_millis(200));
        (0..200).for_each(|_| load.note(Duration::from_secs(5), now));
        assert!((0..50).any(|_| load.sheds(WRITE, false, now)));
        assert!(!(0..50).any(|_| load.sheds(READ, true, now + OLD + Duration::from_millis(1))));
    }

    #[test]
    fn where_it_is_switched_off_nothing_is_shed() {
        let now = Instant::now();
        let load = Load::new(Duration::ZERO);
        (0..200).for_each(|_| load.note(Duration::from_secs(60), now));
        assert!(!load.is_busy(now) && !(0..50).any(|_| load.sheds(READ, true, now)));
    }
}
