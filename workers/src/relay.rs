//! The relay: stamps committed facts with their positions, queues what follows from them, broadcasts them,
//! announces the tasks that were queued for later when they come due, and seals the audit log. Of all
//! processes one does it at a time, under a lease with a fencing token.

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

/// Facts stamped in one transaction: some milliseconds' work, so that the lock on the lease is short.
const BATCH: u64 = 500;

/// The lease is renewed when a third of it is over: two renewals may fail before it is lost.
const RENEW_AFTER: Duration =
    Duration::from_millis(outbox::LEASE_SECS.unsigned_abs().saturating_mul(1_000) / 3);

/// A relay that takes over announces what came due in so many seconds before: longer than the lease of the
/// last one. What is announced twice is claimed once.
const TAKE_OVER_SECS: i64 = 30;

/// Relays until it is told to stop, then gives the lease back.
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
            Ok(Round { more: true, .. }) => {}
            Ok(Round { next_due, .. }) => {
                until(&stop, pulse.wait(next_due)).await;
            }
            Err(error) => {
                tracing::error!(%error, "the relay could not work; it tries again");
                // Another process may be able to.
                relay.give_back().await;
                until(&stop, tokio::time::sleep(Duration::from_secs(1))).await;
            }
        }
    }
    relay.finish().await;
}

/// What a round has left.
#[derive(Default)]
struct Round {
    /// There may be more facts to stamp.
    more: bool,
    /// When the next task that was queued for later comes due.
    next_due: Option<DateTime<Utc>>,
}

/// How long facts may gather while buyers wait for decisions: fewer and larger transactions leave them the
/// writer.
const DESK_PATIENCE: Duration = Duration::from_millis(50);

struct Relay {
    db: Db,
    bus: Arc<dyn Bus>,
    desk: DeskActivity,
    /// What follows from a fact.
    letters: LetterKinds,
    holder: Uuid,
    /// The fencing token, and when the lease was last renewed.
    lease: Option<(i64, Instant)>,
    /// Tasks that came due until then have been announced, if this process has the lease.
    announced_until: Option<DateTime<Utc>>,
    sealing: Sealing,
}

impl Relay {
    async fn round(&mut self) -> Result<Round, DbErr> {
        let Some(fence) = self.fence().await? else { return Ok(Round::default()) };
        let done = self.relay(fence).await;
        // Whatever is wrong with the facts.
        self.sealing.round(fence).await;
        let (next_due, count) = done?;
        let next_due = [next_due, self.sealing.due()].into_iter().flatten().min();
        Ok(Round { more: count >= BATCH || self.sealing.is_behind(), next_due })
    }

    /// Announces what has come due and stamps one batch; answers when more comes due, and how many facts the
    /// batch had.
    async fn relay(&mut self, fence: i64) -> Result<(Option<DateTime<Utc>>, u64), DbErr> {
        let next_due = self.announce_due().await?;
        Ok((next_due, self.stamp(fence).await?))
    }

    /// One batch of facts; answers how many it had.
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
            // There were some: the token is no longer the newest.
            self.lose();
        }
        let count = u64::try_from(stamped.len()).unwrap_or(0);
        metrics::counter!("smallrun_facts_relayed_total").increment(count);
        faults::point(Point::RelayCommitted).await?;
        if let Err(error) = self.bus.broadcast(&stamped).await {
            // Whoever follows the facts reads them from the table.
            metrics::counter!("smallrun_broadcasts_failed_total").increment(1);
            tracing::debug!(%error, "facts were not broadcast");
        }
        faults::point(Point::RelayBroadcast).await?;
        Ok(count)
    }

    /// Announces what has come due since the last time; answers when there will be more.
    async fn announce_due(&mut self) -> Result<Option<DateTime<Utc>>, DbErr> {
        let now = self.db.now();
        let took_over = || now.checked_sub_signed(TimeDelta::seconds(TAKE_OVER_SECS)).unwrap_or(now);
        let after = self.announced_until.unwrap_or_else(took_over);
        for (queue, count) in tasks::come_due(&self.db, after, now).await? {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            if let Err(error) = self.bus.announce(queue, count).await {
                tracing::debug!(queue = queue.name(), %error, "tasks that came due were not announced; they are found by looking");
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
        // The lock on the lease is held for as long as facts are stamped: who only looks whether it is free
        // does not wait for it.
        if self.lease.is_none() && outbox::is_leased_to_another(&self.db, holder).await? {
            return Ok(None);
        }
        let fence = in_tx(&self.db, ACTOR, async |tx| outbox::lease(tx, holder).await).await?;
        match fence {
            Some(fence) if self.lease.is_none() => tracing::debug!(fence, "this process relays the facts"),
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

    /// Seals what is left of the audit log, and gives the lease back.
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
            tracing::warn!(%error, "the relay's lease was not given back; it runs out by itself");
        }
        self.lose();
    }
}
