//! What the reconcilers of reservations look for: holds and their timers. Each answers how much it repaired.
//!
//! A lapsed checkout cannot miss its letter: the relay queues it in the transaction that stamps the fact, and
//! stamps every fact.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sea_orm::DbErr;

use super::{
    reservation_row::{self, Model as Line},
    tasks::{HoldLapse, LapseCheckout},
};
use crate::platform::{
    Db, EntityId,
    access::SystemScope,
    in_tx,
    reconcile::{Missed, REPAIRS_MAX},
    tasks::{NewTask, Task},
    timers,
};

/// A timer fires within a second, and its task starts at once; a hold that is over for so long has neither.
const LAPSE_SECS: i64 = 30;

fn of_checkout(line: &Line) -> String {
    line.checkout_id.public()
}

/// Holds that ran out, with neither a timer nor a task that ends them, and so without the letter that says
/// so.
pub async fn lapse_forgotten(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let over_at = db
        .now()
        .checked_sub_signed(TimeDelta::try_seconds(LAPSE_SECS).unwrap_or_default())
        .unwrap_or(db.now());
    let missed = Missed {
        what: "hold_not_lapsed",
        warns: true,
        candidates: reservation_row::held_without_timer(None, Some(over_at)),
        kinds: &[LapseCheckout::KIND],
        subject: of_checkout,
    };
    let task = |line: &Line| NewTask::from(LapseCheckout { checkout: line.checkout_id }).unique();
    missed.queue(db, scope, task).await
}

/// Holds that go on, without the timer that is to end them.
pub async fn set_missing_timers(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let missed = Missed {
        what: "hold_without_timer",
        warns: true,
        candidates: reservation_row::held_without_timer(Some(db.now()), None),
        // A task that comes too early sets the timer again.
        kinds: &[LapseCheckout::KIND],
        subject: of_checkout,
    };
    missed
        .repair(db, scope, async |tx, lines| {
            // The lines of a checkout are held until the same instant.
            let ends: BTreeMap<_, _> =
                lines.iter().map(|line| (line.checkout_id.uuid(), line.expires_at)).collect();
            timers::set_missing::<HoldLapse>(tx, ends).await
        })
        .await
}

/// Timers of holds that are not, or no longer: they go.
pub async fn drop_stray_timers(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let limit = u64::try_from(REPAIRS_MAX).unwrap_or(u64::MAX);
    let stray = || timers::without::<HoldLapse>(reservation_row::held_of_timer(), limit);
    if stray().all(db.reader()).await?.is_empty() {
        return Ok(0);
    }
    in_tx(db, scope.actor(), async |tx| {
        let subjects = stray().all(tx.conn()).await?;
        tracing::warn!(
            what = "timer_stray",
            count = subjects.len(),
            "timers without their holds are dropped"
        );
        timers::drop_all::<HoldLapse>(tx, &subjects).await
    })
    .await
}
