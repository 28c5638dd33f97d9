//! Timers: turns those that are due into tasks.

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

/// Timers fired in one transaction.
const BATCH: u64 = 200;

/// Fires timers until it is told to stop.
pub async fn run(db: Db, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let (mut pulse, kinds) = (Pulse::new(&db, bus.news()), registry::timers());
    while !stop.is_cancelled() {
        pulse.before_look().await;
        match fire_due(&db, &kinds).await {
            Ok(next) => {
                until(&stop, pulse.wait(next)).await;
            }
            Err(error) => {
                tracing::error!(%error, "timers could not be fired; they are tried again");
                until(&stop, tokio::time::sleep(Duration::from_secs(1))).await;
            }
        }
    }
}

/// Fires all that are due; answers when the next one is.
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
            // Others may have the rest in hand, or the database's clock is a little behind ours.
            return timers::next_due(db, kinds).await;
        }
    }
}
