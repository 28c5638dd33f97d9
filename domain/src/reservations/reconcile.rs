//! The reconcilers of reservations: they check holds and their timers. Each returns how many it repaired.
//!
//! No reconciler is needed for the letter about a lapsed hold: the relay queues letters in the transaction
//! that assigns positions to the facts, and it processes every fact.

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

/// How many seconds ago a hold must have expired to count as forgotten. A timer fires within a second, and
/// its task starts at once.
const LAPSE_SECS: i64 = 30;

fn of_checkout(line: &Line) -> String {
    line.checkout_id.public()
}

/// Queues the task for expired holds that have neither a timer nor a task. Without the task, the buyers would
/// not get the letter that the hold has expired.
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

/// Sets the missing timers of holds that have not expired.
pub async fn set_missing_timers(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let missed = Missed {
        what: "hold_without_timer",
        warns: true,
        candidates: reservation_row::held_without_timer(Some(db.now()), None),
        // A task that runs too early sets the timer again.
        kinds: &[LapseCheckout::KIND],
        subject: of_checkout,
    };
    missed
        .repair(db, scope, async |tx, lines| {
            // All lines of a checkout expire at the same time.
            let ends: BTreeMap<_, _> =
                lines.iter().map(|line| (line.checkout_id.uuid(), line.expires_at)).collect();
            timers::set_missing::<HoldLapse>(tx, ends).await
        })
        .await
}

/// Removes timers whose holds do not exist or have ended.
pub async fn drop_stray_timers(db: &Db, scope: &SystemScope) -> Result<u64, DbErr> {
    let limit = u64::try_from(REPAIRS_MAX).unwrap_or(u64::MAX);
    let stray = || timers::without::<HoldLapse>(reservation_row::held_of_timer(), limit);
    if stray().all(db.reader()).await?.is_empty() {
        return Ok(0);
    }
    in_tx(db, scope.actor(), async |tx| {
        let subjects = stray().all(tx.conn()).await?;
        tracing::warn!(what = "timer_stray", count = subjects.len(), "removing timers without holds");
        timers::drop_all::<HoldLapse>(tx, &subjects).await
    })
    .await
}
