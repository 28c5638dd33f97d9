//! The relay: stamps committed facts with their positions, queues the tasks that follow from them, broadcasts
//! them, announces scheduled tasks when they come due, and seals the audit log. Only one process relays at a
//! time, under a lease with a fencing token.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    platform::{
        Db,
        access::Actor,
        faults::{self, Point},
        in_tx,
        mail::LetterKinds,
        outbox, tasks,
    },
    registry,
    reservations::DeskActivity,
};
use sea_orm::DbErr;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{bus::Bus, loops::until, pulse::Pulse, sealing::Sealing};

const ACTOR: Actor = Actor::System("relay");

/// The maximum number of facts stamped in one transaction: a few milliseconds of work, so that the lease is
/// locked only briefly.
const BATCH: u64 = 500;

/// The lease is renewed after a third of its duration, so two renewals may fail before it is lost.
const RENEW_AFTER: Duration =
    Duration::from_millis(outbox::LEASE_SECS.unsigned_abs().saturating_mul(1_000) / 3);

/// A relay that takes over also announces tasks that came due within this many seconds before: longer than
/// the lease of the last relay. A task that is announced twice is claimed once.
const TAKE_OVER_SECS: i64 = 30;

/// Relays until `stop` is cancelled, then releases the lease.
pub async fn run(db: Db, bus: Arc<dyn Bus>, desk: DeskActivity, stop: CancellationToken) {
    let holder = db.entropy().uuid(db.now());
    let mut pulse = Pulse::new(&db, bus.news());
    let sealing = Sealing::new(&db);
    let mut relay = Relay {
        db,
        bus,
        desk,
        letters: registry::letters(),
        holder,
        lease: None,
        announced_until: None,
        sealing,
    };
    while !stop.is_cancelled() {
        pulse.before_look().await;
        match relay.round().await {
            Ok(RelayRound { more: true, .. }) => {}
            Ok(RelayRound { next_due, .. }) => {
                until(&stop, pulse.wait(next_due)).await;
            }
            Err(error) => {
                tracing::error!(%error, "the relay failed; retrying");
                // Another process may succeed.
                relay.give_back().await;
                until(&stop, tokio::time::sleep(Duration::from_secs(1))).await;
            }
        }
    }
    relay.finish().await;
}

/// The work that a round has left.
#[derive(Default)]
struct RelayRound {
    /// Whether there may be more facts to stamp.
    more: bool,
    /// When the next scheduled task comes due.
    next_due: Option<DateTime<Utc>>,
}

/// How long facts may wait while requests wait at the desk: fewer and larger transactions leave the
/// database's writer to the requests.
const DESK_PATIENCE: Duration = Duration::from_millis(50);

struct Relay {
    db: Db,
    bus: Arc<dyn Bus>,
    desk: DeskActivity,
    /// The letters that follow from facts.
    letters: LetterKinds,
    holder: Uuid,
    /// The fencing token, and the time of the last renewal.
    lease: Option<(i64, Instant)>,
    /// If this process has the lease, tasks that came due up to this time have been announced.
    announced_until: Option<DateTime<Utc>>,
    sealing: Sealing,
}

impl Relay {
    async fn round(&mut self) -> Result<RelayRound, DbErr> {
        let Some(fence) = self.fence().await? else { return Ok(RelayRound::default()) };
        let done = self.relay(fence).await;
        // Audit rows are sealed even if relaying facts failed.
        self.sealing.round(fence).await;
        let (next_due, count) = done?;
        let next_due = [next_due, self.sealing.due()].into_iter().flatten().min();
        Ok(RelayRound { more: count >= BATCH || self.sealing.is_behind(), next_due })
    }

    /// Announces due tasks and stamps one batch of facts. Returns when the next task comes due, and the
    /// number of facts.
    async fn relay(&mut self, fence: i64) -> Result<(Option<DateTime<Utc>>, u64), DbErr> {
        let next_due = self.announce_due().await?;
        Ok((next_due, self.stamp(fence).await?))
    }

    /// Stamps one batch of facts and returns their number.
    async fn stamp(&mut self, fence: i64) -> Result<u64, DbErr> {
        if !outbox::any_unstamped(&self.db).await? {
            return Ok(0);
        }
        faults::point(Point::RelayLeased).await?;
        self.desk.idle(DESK_PATIENCE).await;
        let following = |fact: &_| self.letters.following(fact);
        let stamped =
            in_tx(&self.db, ACTOR, async |tx| outbox::stamp(tx, fence, BATCH, following).await).await?;
        if stamped.is_empty() {
            // There were unstamped facts, so the fencing token is outdated.
            self.lose();
        }
        let count = u64::try_from(stamped.len()).unwrap_or(0);
        metrics::counter!("smallrun_facts_relayed_total").increment(count);
        faults::point(Point::RelayCommitted).await?;
        if let Err(error) = self.bus.broadcast(&stamped).await {
            // Projections read these facts from the table.
            metrics::counter!("smallrun_broadcasts_failed_total").increment(1);
            tracing::debug!(%error, "facts were not broadcast");
        }
        faults::point(Point::RelayBroadcast).await?;
        Ok(count)
    }

    /// Announces tasks that have come due since the last call. Returns when the next one comes due.
    async fn announce_due(&mut self) -> Result<Option<DateTime<Utc>>, DbErr> {
        let now = self.db.now();
        let took_over = || now.checked_sub_signed(TimeDelta::seconds(TAKE_OVER_SECS)).unwrap_or(now);
        let after = self.announced_until.unwrap_or_else(took_over);
        for (queue, count) in tasks::come_due(&self.db, after, now).await? {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            if let Err(error) = self.bus.announce(queue, count).await {
                tracing::debug!(
                    queue = queue.name(),
                    %error,
                    "due tasks were not announced; polling finds them"
                );
            }
        }
        self.announced_until = Some(now);
        tasks::next_due_after(&self.db, now).await
    }

    async fn fence(&mut self) -> Result<Option<i64>, DbErr> {
        if let Some((fence, renewed_at)) = self.lease
            && renewed_at.elapsed() < RENEW_AFTER
        {
            return Ok(Some(fence));
        }
        let asked_at = Instant::now();
        let holder = self.holder;
        // The row of the lease is locked while facts are stamped. Checking first whether it is free does not
        // wait for the lock.
        if self.lease.is_none() && outbox::is_leased_to_another(&self.db, holder).await? {
            return Ok(None);
        }
        let fence = in_tx(&self.db, ACTOR, async |tx| outbox::lease(tx, holder).await).await?;
        match fence {
            Some(fence) if self.lease.is_none() => tracing::debug!(fence, "became the relay"),
            Some(_) => {}
            None => self.lose(),
        }
        self.lease = fence.map(|fence| (fence, asked_at));
        Ok(fence)
    }

    fn lose(&mut self) {
        self.lease = None;
        self.announced_until = None;
    }

    /// Seals the rest of the audit log, and releases the lease.
    async fn finish(mut self) {
        if let Some((fence, _)) = self.lease {
            self.sealing.finish(fence).await;
        }
        self.give_back().await;
    }

    async fn give_back(&mut self) {
        let holder = self.holder;
        if self.lease.is_some()
            && let Err(error) =
                in_tx(&self.db, ACTOR, async |tx| outbox::release_lease(tx, holder).await).await
        {
            tracing::warn!(%error, "the relay's lease was not released; it expires by itself");
        }
        self.lose();
    }
}
