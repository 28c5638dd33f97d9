//! Load shedding: an overloaded process refuses some requests early, so that it answers the rest in time.
//!
//! The load is measured by how long operations wait before they run. This needs neither the number of
//! processors nor an estimate of costs (as in CoDel: Nichols and Jacobson, "Controlling Queue Delay", ACM
//! Queue 10(5), 2012). The [`Class`] of a document decides what is shed first. Between two thresholds of
//! the wait, the share of shed requests grows with the wait, so that the load does not swing between all and
//! nothing.

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

/// The weight of the newest wait in the moving average.
const WEIGHT: f64 = 0.1;
/// When the backend is crowded, shedding starts at this fraction of the usual wait.
const CROWDED_FROM: f64 = 0.25;
/// A measurement older than this is ignored.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Of this many requests, one is let through under any load, so that its wait shows when the overload ends.
const PROBE_EVERY: u64 = 50;
/// The delay after which a client may retry a shed request.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The load of this process.
#[derive(Debug)]
pub(super) struct LoadMonitor {
    /// The wait, in seconds, of which the thresholds of each class are multiples (see [`Shedding`]). It is
    /// infinite if shedding is disabled.
    from_secs: f64,
    waits: Mutex<Waits>,
    /// The number of requests so far that could be shed.
    candidates: AtomicU64,
}

#[derive(Debug)]
struct Waits {
    mean_secs: f64,
    measured_at: Instant,
}

impl LoadMonitor {
    /// Creates a monitor with [`Settings::shed_from`](crate::Settings::shed_from); zero disables shedding.
    pub(super) fn new(from: Duration) -> Self {
        let from_secs = if from.is_zero() { f64::INFINITY } else { from.as_secs_f64() };
        Self {
            from_secs,
            waits: Mutex::new(Waits { mean_secs: 0.0, measured_at: Instant::now() }),
            candidates: AtomicU64::new(0),
        }
    }

    /// Records how long an operation waited before it ran.
    pub(super) fn note(&self, waited: Duration, now: Instant) {
        metrics::histogram!(WAIT).record(waited);
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let before =
            if now.saturating_duration_since(waits.measured_at) > AGE_MAX { 0.0 } else { waits.mean_secs };
        *waits =
            Waits { mean_secs: before * (1.0 - WEIGHT) + waited.as_secs_f64() * WEIGHT, measured_at: now };
    }

    /// Returns the moving average of the waits, in seconds.
    fn mean_wait_secs(&self, now: Instant) -> f64 {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(waits.measured_at) > AGE_MAX { 0.0 } else { waits.mean_secs }
    }

    /// Returns whether requests wait so long that some may be shed. [`LoadMonitor::sheds`] decides which.
    pub(super) fn is_busy(&self, now: Instant) -> bool {
        self.mean_wait_secs(now) > self.from_secs * CROWDED_FROM
    }

    /// Returns whether to shed a request of this class, and counts it if so. If requests wait here while the
    /// backend is crowded, nearly all requests of the classes that can be shed are shed: the backend would
    /// refuse them anyway, after they had waited here.
    pub(super) fn sheds(&self, class: Class, crowded: bool, now: Instant) -> bool {
        let Some(Shedding { from, nearly_all_from }) = class.shed else { return false };
        let wait = self.mean_wait_secs(now) / self.from_secs;
        let share = if crowded && wait > CROWDED_FROM {
            1.0
        } else {
            ((wait - from) / (nearly_all_from - from)).clamp(0.0, 1.0)
        };
        if share == 0.0 {
            return false;
        }
        // The slots of 50 consecutive requests are 0 to 49 in a scattered order (29 and 50 have no common
        // divisor). So the requests that are shed are spread evenly. Slot 0 is never shed.
        let slot = self.candidates.fetch_add(1, Ordering::Relaxed).wrapping_mul(29) % PROBE_EVERY;
        let shed = slot != 0
            && f64::from(u32::try_from(slot).unwrap_or(0))
                <= share * f64::from(u32::try_from(PROBE_EVERY).unwrap_or(0));
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
    fn each_class_has_its_own_thresholds_and_some_are_never_shed() {
        let now = Instant::now();
        for (millis, expected) in [
            (0, [0, 0, 0]),
            (150, [0, 0, 0]),
            (500, [25, 0, 0]),
            (800, [49, 0, 0]),
            (1_400, [49, 25, 0]),
            (9_000, [49, 49, 0]),
        ] {
            let load = LoadMonitor::new(Duration::from_millis(200));
            (0..200).for_each(|_| load.note(Duration::from_millis(millis), now));
            let shed =
                [READ, WRITE, PAY].map(|class| (0..50).filter(|_| load.sheds(class, false, now)).count());
            let near = shed.iter().zip(expected).all(|(shed, expected)| shed.abs_diff(expected) <= 1);
            assert!(near, "{millis} ms: {shed:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_crowded_backend_sheds_nearly_everything_from_a_shorter_wait_on() {
        let now = Instant::now();
        for (millis, expected) in [(40, [0, 0, 0]), (60, [49, 49, 0])] {
            let load = LoadMonitor::new(Duration::from_millis(200));
            (0..200).for_each(|_| load.note(Duration::from_millis(millis), now));
            let shed =
                [READ, WRITE, PAY].map(|class| (0..50).filter(|_| load.sheds(class, true, now)).count());
            assert_eq!(shed, expected, "{millis} ms");
        }
    }

    #[test]
    fn an_old_measurement_is_ignored() {
        let now = Instant::now();
        let load = LoadMonitor::new(Duration::from_millis(200));
        (0..200).for_each(|_| load.note(Duration::from_secs(5), now));
        assert!((0..50).any(|_| load.sheds(WRITE, false, now)));
        assert!(!(0..50).any(|_| load.sheds(READ, true, now + AGE_MAX + Duration::from_millis(1))));
    }

    #[test]
    fn nothing_is_shed_when_shedding_is_disabled() {
        let now = Instant::now();
        let load = LoadMonitor::new(Duration::ZERO);
        (0..200).for_each(|_| load.note(Duration::from_secs(60), now));
        assert!(!load.is_busy(now) && !(0..50).any(|_| load.sheds(READ, true, now)));
    }
}
