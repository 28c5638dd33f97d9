//! Turns due timers into tasks.

use std::{sync::Arc, time::Duration};

use domain::{
    platform::{
        Db,
        access::Actor,
        faults::{self, Point},
        in_tx,
        timers::{self, TimerKinds},
    },
    registry,
};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::{bus::Bus, loops::until, pulse::Pulse};

/// The maximum number of timers fired in one transaction.
const BATCH: u64 = 200;

/// Fires timers until `stop` is cancelled.
pub async fn run(db: Db, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let (mut pulse, kinds) = (Pulse::new(&db, bus.news()), registry::timers());
    while !stop.is_cancelled() {
        pulse.before_look().await;
        match fire_due(&db, &kinds).await {
            Ok(next) => {
                until(&stop, pulse.wait(next)).await;
            }
            Err(error) => {
                tracing::error!(%error, "firing timers failed; retrying");
                until(&stop, tokio::time::sleep(Duration::from_secs(1))).await;
            }
        }
    }
}

/// Fires all due timers. Returns when the next one is due.
async fn fire_due(db: &Db, kinds: &TimerKinds) -> Result<Option<chrono::DateTime<chrono::Utc>>, DbErr> {
    loop {
        let next = timers::next_due(db, kinds).await?;
        if next.is_none_or(|next| next > db.now()) {
            return Ok(next);
        }
        let fired =
            in_tx(db, Actor::System("timers"), async |tx| timers::fire(tx, kinds, BATCH).await).await?;
        faults::point(Point::TimerFired).await?;
        let fired = u64::try_from(fired).unwrap_or(0);
        metrics::counter!("smallrun_timers_fired_total").increment(fired);
        if fired < BATCH {
            // Other processes may be firing the rest, or the database's clock may be slightly behind ours.
            return timers::next_due(db, kinds).await;
        }
    }
}
