//! The reconcilers: once a minute they search for work that was missed, and repair it through operations of
//! the domain.
//!
//! They have no input and no state; they search the tables. Each reconciler has a limit per round, does
//! nothing on a healthy database, and may run in several processes at once. Dead letters, and what was
//! discarded as one, are left to the administrators.
//!
//! | what | missing | repaired by |
//! | --- | --- | --- |
//! | `payment_unheard` | a payment's outcome, whose webhook may be lost | asking the gateway |
//! | `payment_not_ended` | confirmation that an abandoned intent is cancelled | asking, cancelling |
//! | `payment_queued` | the task that sends a buyer's choice to the gateway | queueing it |
//! | `refund_pending` | the task that requests a refund | queueing it |
//! | `webhook_unapplied` | the task that applies a webhook of the inbox | queueing it |
//! | `hold_not_lapsed` | the timer and the task that end an expired hold | queueing the task |
//! | `hold_without_timer` | the timer of an active hold | setting it |
//! | `timer_stray` | the hold of a timer | deleting the timer |
//! | `import_unfinished` | the task that continues an import | queueing it |
//!
//! The letter about a lapsed checkout cannot be missed: the relay queues it in the transaction that stamps
//! the fact.

use std::{future::Future, time::Duration};

use domain::{
    catalog::imports::reconcile as imports,
    payments::reconcile as payments,
    platform::{Db, access::SystemScope},
    reservations::reconcile as reservations,
};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::loops::until;

/// The time between two rounds.
const EVERY: Duration = Duration::from_secs(60);
/// The delay of the first round. It is short, because a process may start after another one crashed, but long
/// enough for due timers and tasks to run first.
const FIRST_AFTER: Duration = Duration::from_secs(5);

/// Reconciles until `stop` is cancelled.
pub async fn run(db: Db, stop: CancellationToken) {
    let mut wait = FIRST_AFTER;
    while until(&stop, tokio::time::sleep(wait)).await.is_some() {
        round(&db).await;
        wait = EVERY;
    }
}

/// The results of one round: the name of each reconciler, and the number of its repairs or its error.
pub type RoundResults = Vec<(&'static str, Result<u64, DbErr>)>;

/// Runs all reconcilers once. A failure of one does not stop the others.
pub async fn round(db: &Db) -> RoundResults {
    let scope = SystemScope::new("reconcile");
    vec![
        done("payment_unheard", payments::ask_unheard(db, &scope)).await,
        done("payment_not_ended", payments::ask_not_ended(db, &scope)).await,
        done("payment_queued", payments::advance_queued(db, &scope)).await,
        done("refund_pending", payments::make_pending_refunds(db, &scope)).await,
        done("webhook_unapplied", payments::apply_inbox(db, &scope)).await,
        done("hold_not_lapsed", reservations::lapse_forgotten(db, &scope)).await,
        done("hold_without_timer", reservations::set_missing_timers(db, &scope)).await,
        done("timer_stray", reservations::drop_stray_timers(db, &scope)).await,
        done("import_unfinished", imports::run_forgotten(db, &scope)).await,
    ]
}

async fn done(
    what: &'static str,
    reconciler: impl Future<Output = Result<u64, DbErr>>,
) -> (&'static str, Result<u64, DbErr>) {
    let repaired = reconciler.await;
    match &repaired {
        Ok(0) => {}
        Ok(repaired) => count(what, *repaired),
        Err(error) => {
            tracing::warn!(what, %error, "searching for missed work failed; retrying in the next round")
        }
    }
    (what, repaired)
}

fn count(what: &'static str, repaired: u64) {
    metrics::counter!("smallrun_reconciled_total", "what" => what).increment(repaired);
}
