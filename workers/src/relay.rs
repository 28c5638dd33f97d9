//! The relay: stamps committed facts with their positions, queues what follows from them, and
//! broadcasts them; and seals the audit log. Of all processes one does it at a time, under a lease with a fencing token.

use std::{sync::Arc, time::Duration};

use domain::platform::{Actor, Db, in_tx, outbox};
use sea_orm::DbErr;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{bus::Bus, loops::until, pulse::Pulse, reactions::react, sealing::Sealing};

const ACTOR: Actor = Actor::System("relay");

/// Facts stamped in one transaction: some milliseconds' work, so that the lock on the lease is short.
const BATCH: u64 = 500;

/// The lease is renewed when a third of it is over: two renewals may fail before it is lost.
const RENEW_AFTER: Duration = Duration::from_millis(outbox::LEASE_SECS.unsigned_abs().saturating_mul(1_000) / 3);

/// Relays until it is told to stop, then gives the lease back.
pub async fn run(db: Db, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let holder = db.entropy().uuid(db.now());
    let mut pulse = Pulse::new(&db);
    let sealing = Sealing::new(&db);
    let mut relay = Relay { db, bus, holder, lease: None, sealing };
    while !stop.is_cancelled() {
        pulse.before_look().await;
        match relay.round().await {
            Ok(count) if count >= BATCH || relay.sealing.is_behind() => {}
            Ok(_) => {
                until(&stop, pulse.wait(relay.sealing.due())).await;
            }
            Err(error) => {
                tracing::error!(%error, "the relay could not work; it tries again");
                // Another process may be able to: a newer version knows facts that this one does not.
                relay.give_back().await;
                until(&stop, tokio::time::sleep(Duration::from_secs(1))).await;
            }
        }
    }
    relay.finish().await;
}

struct Relay {
    db: Db,
    bus: Arc<dyn Bus>,
    holder: Uuid,
    /// The fencing token, and when the lease was last renewed.
    lease: Option<(i64, Instant)>,
    sealing: Sealing,
}

impl Relay {
    /// One batch, and a segment of the audit log if it is time for one; answers how many facts the batch had.
    async fn round(&mut self) -> Result<u64, DbErr> {
        let Some(fence) = self.fence().await? else { return Ok(0) };
        let stamped = self.stamp(fence).await;
        // Whatever is wrong with the facts.
        self.sealing.round(fence).await;
        stamped
    }

    async fn stamp(&mut self, fence: i64) -> Result<u64, DbErr> {
        if outbox::unstamped_count(&self.db).await? == 0 {
            return Ok(0);
        }
        let stamped = in_tx(&self.db, ACTOR, async |tx| outbox::stamp(tx, fence, BATCH, react).await).await?;
        if stamped.is_empty() {
            // There were some: the token is no longer the newest.
            self.lease = None;
        }
        let count = u64::try_from(stamped.len()).unwrap_or(0);
        metrics::counter!("smallrun_facts_relayed_total").increment(count);
        self.bus.broadcast(&stamped).await;
        Ok(count)
    }

    async fn fence(&mut self) -> Result<Option<i64>, DbErr> {
        if let Some((fence, renewed_at)) = self.lease
            && renewed_at.elapsed() < RENEW_AFTER
        {
            return Ok(Some(fence));
        }
        let asked_at = Instant::now();
        let holder = self.holder;
        let fence = in_tx(&self.db, ACTOR, async |tx| outbox::lease(tx, holder).await).await?;
        if fence.is_some() && self.lease.is_none() {
            tracing::debug!(fence, "this process relays the facts");
        }
        self.lease = fence.map(|fence| (fence, asked_at));
        Ok(fence)
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
        if self.lease.take().is_some()
            && let Err(error) = in_tx(&self.db, ACTOR, async |tx| outbox::release_lease(tx, holder).await).await
        {
            tracing::warn!(%error, "the relay's lease was not given back; it runs out by itself");
        }
    }
}
