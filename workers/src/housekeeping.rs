//! Housekeeping: once an hour, what is no longer needed goes.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use domain::{
    accounts,
    catalog::imports,
    payments::webhook::sweep_inbox,
    platform::{Db, access::Actor, budget, idempotency, in_tx, outbox, sweep::Sweep},
};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::loops::until;

const ACTOR: Actor = Actor::System("housekeeping");

/// Time between two rounds.
const EVERY: Duration = Duration::from_secs(3_600);
/// The first round waits until a start is over.
const FIRST_AFTER: Duration = Duration::from_secs(60);

/// Facts are read by position for so long; a reader with an older cursor rebuilds.
const FACTS_DAYS: i64 = 7;
/// The same request is recognised for so long.
const KEYS_DAYS: i64 = 7;
/// A link that ran out, or a session that ended, can be told from one that never was for so long.
const ENTRIES_DAYS: i64 = 7;
/// A webhook that is delivered again is recognised for so long; gateways try for some days.
const WEBHOOKS_DAYS: i64 = 30;
/// What became of the rows of a file can be read for so long; longer than the key that made the import is
/// known.
const IMPORTS_DAYS: i64 = 30;

/// Sweeps until it is told to stop.
pub async fn run(db: Db, others: Vec<Arc<dyn Sweep>>, stop: CancellationToken) {
    let mut wait = FIRST_AFTER;
    while until(&stop, tokio::time::sleep(wait)).await.is_some() {
        if let Err(error) = sweep(&db, &others).await {
            tracing::warn!(%error, "housekeeping was not finished; it goes on in an hour");
        }
        wait = EVERY;
    }
}

/// One round, each table in a transaction of its own; `others` are swept after the capabilities. Answers how
/// many rows went.
pub async fn sweep(db: &Db, others: &[Arc<dyn Sweep>]) -> Result<u64, DbErr> {
    let ago = |days| db.now().checked_sub_signed(TimeDelta::days(days)).unwrap_or(db.now());
    let facts = in_tx(db, ACTOR, async |tx| outbox::sweep(tx, ago(FACTS_DAYS)).await).await?;
    let keys = in_tx(db, ACTOR, async |tx| idempotency::sweep(tx, ago(KEYS_DAYS)).await).await?;
    let budgets = in_tx(db, ACTOR, async |tx| budget::sweep(tx).await).await?;
    let entries = in_tx(db, ACTOR, async |tx| accounts::sweep(tx, ago(ENTRIES_DAYS)).await).await?;
    let webhooks = in_tx(db, ACTOR, async |tx| sweep_inbox(tx, ago(WEBHOOKS_DAYS)).await).await?;
    let imports = in_tx(db, ACTOR, async |tx| imports::sweep(tx, ago(IMPORTS_DAYS)).await).await?;
    tracing::info!(facts, keys, budgets, entries, webhooks, imports, "housekeeping is done");
    let mut rows =
        [facts, keys, budgets, entries, webhooks, imports].into_iter().fold(0, u64::saturating_add);
    for other in others {
        let gone = other.sweep().await?;
        tracing::info!(what = other.name(), rows = gone, "housekeeping is done");
        rows = rows.saturating_add(gone);
    }
    Ok(rows)
}
