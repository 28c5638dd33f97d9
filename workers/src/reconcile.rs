//! The reconcilers: once a minute they look for what was missed and repair it, through operations of the
//! domain.
//!
//! They take no input and keep no memory: what they find, they find in the tables. Each is bounded in what it
//! does in one round, does nothing on a healthy database, and may run in several processes at once. What is a
//! dead letter, or was discarded as one, is left to the administrators.
//!
//! | what | is missing | repaired by |
//! | --- | --- | --- |
//! | `payment_unheard` | news of a payment whose outcome the gateway knows: its webhook may never have come | asking the gateway |
//! | `payment_not_ended` | the gateway's word that the intent of a payment that was given up is cancelled | asking, cancelling |
//! | `payment_queued` | the task that tells the gateway of a buyer's choice | queueing it |
//! | `refund_pending` | the task that asks the gateway for a refund | queueing it |
//! | `webhook_unapplied` | the task that applies a webhook of the inbox | queueing it |
//! | `hold_not_lapsed` | the timer and the task that end a hold which is over, and with it the letter | queueing the task |
//! | `hold_without_timer` | the timer of a hold that goes on | setting it |
//! | `timer_stray` | the hold of a timer | dropping the timer |
//! | `import_unfinished` | the task that goes on with an import | queueing it |
//!
//! The letter of a checkout that has lapsed cannot be missed: the relay queues it in the transaction that
//! stamps the fact.

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

/// Time between two rounds.
const EVERY: Duration = Duration::from_secs(60);
/// The first round comes soon: a process that starts may do so because another one died. Timers and tasks
/// that are due come first.
const FIRST_AFTER: Duration = Duration::from_secs(5);

/// Reconciles until it is told to stop.
pub async fn run(db: Db, stop: CancellationToken) {
    let mut wait = FIRST_AFTER;
    while until(&stop, tokio::time::sleep(wait)).await.is_some() {
        round(&db).await;
        wait = EVERY;
    }
}

/// What one round did: for each reconciler what it looks for, and how much it repaired, or why it could not
/// look.
pub type Round = Vec<(&'static str, Result<u64, DbErr>)>;

/// One round of all reconcilers, each on its own: what stops one does not stop the others.
pub async fn round(db: &Db) -> Round {
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
            tracing::warn!(what, %error, "it could not be looked for what was missed; the next round is in a minute")
        }
    }
    (what, repaired)
}

/// Counts repairs.
fn count(what: &'static str, repaired: u64) {
    metrics::counter!("smallrun_reconciled_total", "what" => what).increment(repaired);
}
