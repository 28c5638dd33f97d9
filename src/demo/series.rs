//! Computes when the next run of a series opens and closes, and which series need one.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::content::Phase;

/// A reservation window, `[opens_at, closes_at)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) opens_at: DateTime<Utc>,
    pub(super) closes_at: DateTime<Utc>,
}

/// Returns the window of a run that is in `phase` at `now`. The window begins on a full hour. `place` spreads
/// the runs of a phase, so that they do not all end at once.
pub(super) fn window(phase: Phase, window_hours: u32, place: usize, now: DateTime<Utc>) -> Window {
    let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    let hours = |count: i64| TimeDelta::hours(count);
    let length = i64::from(window_hours);
    let place = i64::try_from(place).unwrap_or(0);
    let opens_at = match phase {
        Phase::Scheduled => hour + hours(20 + (place % 5) * 11),
        // The run is early in its window, and far from closing soon.
        Phase::Open => hour - hours(1 + place % 4),
        // Three to five hours are left. A run with less than six hours left is closing soon.
        Phase::ClosingSoon => hour + hours(4 + place % 2) - hours(length),
        Phase::SoldOut => hour - hours(length / 3),
        Phase::Closed => hour - hours(length + 30 + (place % 3) * 24),
    };
    Window { opens_at, closes_at: opens_at + hours(length) }
}

/// Returns the indexes of the series that get their next run: those whose phase has no run. `present` holds
/// the phases of the existing runs, `series` the phase of each series.
pub(super) fn wanting(present: &[Phase], series: &[Phase]) -> Vec<usize> {
    let places = series.iter().enumerate();
    places.filter(|(_, phase)| !present.contains(phase)).map(|(place, _)| place).collect()
}

/// Returns the number of the next run after the runs with these slugs. The slug of run 3 is `series-3`.
pub(super) fn next_number<'a>(series: &str, slugs: impl IntoIterator<Item = &'a str>) -> u32 {
    let numbers = slugs
        .into_iter()
        .filter_map(|slug| slug.strip_prefix(series)?.strip_prefix('-')?.parse::<u32>().ok());
    numbers.max().unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use domain::drops::terms::CLOSING_SOON_HOURS;

    use super::*;

    fn phase_at(window: Window, now: DateTime<Utc>) -> &'static str {
        let left = window.closes_at - now;
        if now < window.opens_at {
            "scheduled"
        } else if left <= TimeDelta::zero() {
            "closed"
        } else if left <= TimeDelta::hours(CLOSING_SOON_HOURS) {
            "closing soon"
        } else {
            "open"
        }
    }

    #[test]
    fn a_window_is_in_its_phase_whatever_the_minute_and_stays_there_for_a_while() {
        let midnight: DateTime<Utc> = "2026-03-01T00:00:00Z".parse().unwrap();
        for (phase, expected, for_hours) in [
            (Phase::Scheduled, "scheduled", 12),
            (Phase::Open, "open", 12),
            (Phase::SoldOut, "open", 8),
            (Phase::ClosingSoon, "closing soon", 2),
            (Phase::Closed, "closed", 100),
        ] {
            for minutes in [0, 1, 59, 61, 1439] {
                for place in 0..20 {
                    for length in [24, 36, 48] {
                        let now = midnight + TimeDelta::minutes(minutes);
                        let window = window(phase, length, place, now);
                        let later = now + TimeDelta::hours(for_hours);
                        assert_eq!(
                            (phase_at(window, now), phase_at(window, later)),
                            (expected, expected),
                            "{phase:?} {window:?}"
                        );
                        assert_eq!(window.closes_at - window.opens_at, TimeDelta::hours(i64::from(length)));
                    }
                }
            }
        }
    }

    #[test]
    fn only_series_whose_phase_has_no_run_get_the_next_run() {
        use Phase::{Closed, ClosingSoon, Open, Scheduled};
        let series = [Open, Scheduled, Open, ClosingSoon, Closed];
        assert_eq!(wanting(&[], &series), [0, 1, 2, 3, 4]);
        assert_eq!(wanting(&[Closed, ClosingSoon], &series), [0, 1, 2]);
        assert_eq!(wanting(&[Closed, ClosingSoon, Open, Scheduled], &series), [0_usize; 0]);
    }

    #[test]
    fn run_numbers_are_read_from_slugs() {
        assert_eq!(next_number("mugs", []), 1);
        assert_eq!(next_number("mugs", ["mugs-1", "mugs-3", "mugs-blue-9", "mugs", "cups-7"]), 4);
    }
}
