//! The budget of each caller: a token bucket of points, in the memory of this process.
//!
//! A request is charged its maximal cost before it runs, and refunded the difference to its actual cost
//! afterwards. Each process has buckets of its own, so with several processes a caller's budget is multiplied
//! by their number.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use moka::{policy::EvictionPolicy, sync::Cache};

use crate::{
    backend::{Charged, RequestContext},
    http::address::network,
};

/// The shortest time between two log lines about the same caller's empty budget.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The size and the refill rate of each caller's bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSettings {
    /// The capacity of a bucket, in points.
    pub points_max: u32,
    /// The points refilled per second.
    pub points_per_second: u32,
    /// The number of callers whose buckets are kept. A caller that returns after this many others starts with
    /// a full bucket.
    pub callers_max: u32,
}

impl Default for BudgetSettings {
    /// A page of the marketplace costs a few thousand points and takes milliseconds of processor time. A
    /// caller may keep most of one processor busy, with a reserve of one to two minutes. These numbers are an
    /// estimate, not a measurement.
    fn default() -> Self {
        Self { points_max: 50_000_000, points_per_second: 500_000, callers_max: 100_000 }
    }
}

/// The bucket that a request is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    /// A known account or token.
    Known { kind: &'static str, id: u128 },
    /// Any other caller, by network.
    Address(IpAddr),
    /// A caller without an address.
    Unknown,
}

impl Payer {
    /// Returns the payer of a request, or `None` when nobody is charged.
    pub(crate) fn of(caller: &RequestContext) -> Option<Self> {
        match caller.viewer.charged() {
            Charged::Nobody => None,
            Charged::Known { kind, id } => Some(Self::Known { kind, id }),
            Charged::Network => {
                Some(caller.address.map_or(Self::Unknown, |address| Self::Address(network(address))))
            }
        }
    }

    /// Returns the payer's kind for logs, without its identity.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Known { kind, .. } => kind,
            Self::Address(_) | Self::Unknown => "address",
        }
    }
}

/// The refusal of a request whose caller has too few points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    /// When the same request may be sent again.
    pub(crate) retry_after: Duration,
    pub(crate) left: u64,
    /// Whether to log it: nothing was logged about this caller in the last minute.
    pub(crate) news: bool,
}

/// The buckets of all callers.
#[derive(Debug)]
pub(crate) struct Budget {
    settings: BudgetSettings,
    buckets: Cache<Payer, Arc<Mutex<Bucket>>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    /// The time up to which refilled points are included in `left`.
    at: Instant,
    told_at: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(settings: BudgetSettings) -> Self {
        let buckets =
            Cache::builder().max_capacity(settings.callers_max.into()).eviction_policy(EvictionPolicy::lru());
        Self { settings, buckets: buckets.build() }
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> BudgetSettings {
        self.settings
    }

    /// Checks that a caller has points left.
    pub(crate) fn check(&self, payer: Payer, now: Instant) -> Result<(), Short> {
        self.with(payer, now, |bucket| if bucket.left > 0 { Ok(()) } else { Err(self.short(bucket, 1, now)) })
    }

    /// Takes the maximal cost of a request from its caller's bucket and returns the points left. A request
    /// that costs more than a full bucket holds takes a full bucket.
    pub(crate) fn take(&self, payer: Payer, cost: u64, now: Instant) -> Result<u64, Short> {
        let needed = cost.min(self.settings.points_max.into());
        self.with(payer, now, |bucket| match bucket.left.checked_sub(needed) {
            Some(left) => {
                bucket.left = left;
                Ok(left)
            }
            None => Err(self.short(bucket, needed, now)),
        })
    }

    fn short(&self, bucket: &mut Bucket, needed: u64, now: Instant) -> Short {
        let news = bucket.told_at.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        if news {
            bucket.told_at = Some(now);
        }
        Short { retry_after: self.time_of(needed.saturating_sub(bucket.left)), left: bucket.left, news }
    }

    /// Charges for work that is already done, down to zero points, and returns the points left.
    pub(crate) fn charge(&self, payer: Payer, points: u64, now: Instant) -> u64 {
        self.with(payer, now, |bucket| {
            bucket.left = bucket.left.saturating_sub(points);
            bucket.left
        })
    }

    /// Refunds points that were taken and not used, and returns the points left.
    pub(crate) fn give_back(&self, payer: Payer, points: u64, now: Instant) -> u64 {
        self.with(payer, now, |bucket| {
            bucket.left = bucket.left.saturating_add(points).min(self.settings.points_max.into());
            bucket.left
        })
    }

    fn with<T>(&self, payer: Payer, now: Instant, work: impl FnOnce(&mut Bucket) -> T) -> T {
        let full =
            || Arc::new(Mutex::new(Bucket { left: self.settings.points_max.into(), at: now, told_at: None }));
        let bucket = self.buckets.get_with(payer, full);
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        self.refill(&mut bucket, now);
        work(&mut bucket)
    }

    fn refill(&self, bucket: &mut Bucket, now: Instant) {
        let max = u64::from(self.settings.points_max);
        let micros = now.saturating_duration_since(bucket.at).as_micros();
        let came = micros.saturating_mul(self.settings.points_per_second.into()).div_euclid(1_000_000);
        let came = u64::try_from(came).unwrap_or(u64::MAX);
        let left = bucket.left.saturating_add(came);
        if left >= max {
            (bucket.left, bucket.at) = (max, now);
        } else if let Some(at) = bucket.at.checked_add(self.time_of(came)) {
            // Advance only by whole points, so that the fraction in between is not lost.
            (bucket.left, bucket.at) = (left, at.min(now));
        }
    }

    /// Returns the time in which this many points are refilled.
    fn time_of(&self, points: u64) -> Duration {
        let micros = u128::from(points)
            .saturating_mul(1_000_000)
            .div_ceil(u128::from(self.settings.points_per_second).max(1));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BudgetSettings =
        BudgetSettings { points_max: 100, points_per_second: 10, callers_max: 1_000 };

    fn somebody(last: u8) -> Payer {
        Payer::Address([192, 0, 2, last].into())
    }

    #[test]
    fn spent_points_refill_over_time_up_to_the_capacity() {
        let (budget, start) = (Budget::new(SETTINGS), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(budget.take(somebody(1), 70, start), Ok(30));
        assert_eq!(budget.take(somebody(2), 70, start), Ok(30), "each caller has a separate bucket");
        let short = budget.take(somebody(1), 50, start).unwrap_err();
        assert_eq!((short.retry_after, short.left, short.news), (Duration::from_secs(2), 30, true));
        assert!(!budget.take(somebody(1), 50, at(1_000)).unwrap_err().news, "logged once a minute");
        assert_eq!(budget.take(somebody(1), 50, at(2_000)), Ok(0));
        // Thirty refills within a second lose no fraction of a point.
        for look in 0..30 {
            budget.charge(somebody(1), 0, at(2_000 + look * 33));
        }
        assert_eq!(budget.charge(somebody(1), 0, at(3_000)), 10);
        assert_eq!(budget.charge(somebody(1), 0, at(3_600_000)), 100);
        assert_eq!(
            budget.charge(somebody(1), 1_000, at(3_600_000)),
            0,
            "work that is done is charged even with few points left"
        );
    }

    #[test]
    fn unused_points_are_refunded() {
        let (budget, now) = (Budget::new(SETTINGS), Instant::now());
        assert_eq!(budget.take(somebody(1), 90, now), Ok(10));
        assert_eq!(budget.give_back(somebody(1), 60, now), 70);
        assert_eq!(budget.give_back(somebody(1), 60, now), 100);
    }

    #[test]
    fn a_request_larger_than_the_bucket_takes_a_full_bucket() {
        let (budget, now) = (Budget::new(SETTINGS), Instant::now());
        assert_eq!(budget.take(somebody(1), 5_000, now), Ok(0));
        assert!(budget.take(somebody(1), 1, now).is_err());
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let (budget, now) = (Budget::new(SETTINGS), Instant::now());
        let busy = somebody(1);
        budget.take(busy, 100, now).unwrap();
        for number in 0..20_000_u32 {
            budget.take(Payer::Address(std::net::Ipv4Addr::from(number).into()), 1, now).unwrap();
            if number % 100 == 0 {
                assert!(budget.take(busy, 1, now).is_err(), "an active caller is not evicted: {number}");
            }
        }
        budget.buckets.run_pending_tasks();
        assert!(
            budget.buckets.entry_count() <= SETTINGS.callers_max.into(),
            "{}",
            budget.buckets.entry_count()
        );
    }
}
