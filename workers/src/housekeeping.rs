//! Housekeeping: deletes expired rows once an hour.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::{
    accounts,
    catalog::imports,
    payments::sweep_inbox,
    platform::{Db, access::Actor, budget, idempotency, in_tx, outbox, sweep::Sweep},
};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::loops::until;

const ACTOR: Actor = Actor::System("housekeeping");

/// The time between two rounds.
const EVERY: Duration = Duration::from_secs(3_600);
/// The first round is delayed until startup is over.
const FIRST_AFTER: Duration = Duration::from_secs(60);

/// How long facts can be read by position. A reader with an older position rebuilds.
const FACTS_DAYS: i64 = 7;
/// How long expired links and ended sessions are kept, so that they can be told apart from unknown ones.
const ENTRIES_DAYS: i64 = 7;
/// How long webhooks are kept, to recognise repeated deliveries. Gateways retry for some days.
const WEBHOOKS_DAYS: i64 = 30;

/// Sweeps until `stop` is cancelled.
pub async fn run(db: Db, others: Vec<Arc<dyn Sweep>>, stop: CancellationToken) {
    let mut wait = FIRST_AFTER;
    while until(&stop, tokio::time::sleep(wait)).await.is_some() {
        if let Err(error) = sweep(&db, &others).await {
            tracing::warn!(%error, "housekeeping failed; retrying in an hour");
        }
        wait = EVERY;
    }
}

/// Runs one round, with one transaction per table. `others` are swept after the tables of the capabilities.
/// Returns the number of deleted rows.
pub async fn sweep(db: &Db, others: &[Arc<dyn Sweep>]) -> Result<u64, DbErr> {
    let ago = |days| db.now().checked_sub_signed(TimeDelta::days(days)).unwrap_or(db.now());
    let facts = in_tx(db, ACTOR, async |tx| outbox::sweep(tx, ago(FACTS_DAYS)).await).await?;
    let keys = in_tx(db, ACTOR, async |tx| idempotency::sweep(tx, ago(idempotency::KEPT_DAYS)).await).await?;
    let budgets = in_tx(db, ACTOR, async |tx| budget::sweep(tx).await).await?;
    let entries = in_tx(db, ACTOR, async |tx| accounts::sweep(tx, ago(ENTRIES_DAYS)).await).await?;
    let webhooks = in_tx(db, ACTOR, async |tx| sweep_inbox(tx, ago(WEBHOOKS_DAYS)).await).await?;
    let imports = in_tx(db, ACTOR, async |tx| imports::sweep(tx, ago(imports::KEPT_DAYS)).await).await?;
    tracing::info!(facts, keys, budgets, entries, webhooks, imports, "housekeeping done");
    let mut rows =
        [facts, keys, budgets, entries, webhooks, imports].into_iter().fold(0, u64::saturating_add);
    for other in others {
        let gone = other.sweep().await?;
        tracing::info!(what = other.name(), rows = gone, "housekeeping done");
        rows = rows.saturating_add(gone);
    }
    Ok(rows)
}
