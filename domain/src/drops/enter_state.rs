//! Stores and publishes a drop's new state, as returned by [`transition`](super::state::transition).

use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{
    drop_row::{self, Model as Drop},
    state::DropState,
};
use crate::platform::{Tx, audit, facts::Fact, outbox};

/// Stores the state of a drop whose row is locked, publishes its fact and records it in the audit log.
/// Returns the drop in its new state.
pub(crate) async fn enter_state(
    tx: &Tx,
    drop: Drop,
    state: DropState,
    now: DateTime<Utc>,
) -> Result<Drop, DbErr> {
    let (published_at, action) = match state {
        DropState::Draft => (None, "drop.withdraw"),
        DropState::Published => (Some(now), "drop.publish"),
        DropState::Cancelled => (drop.published_at, "drop.cancel"),
    };
    drop_row::set_state(tx, drop.id, state, published_at).await?;
    outbox::publish(tx, drop.version, &Fact::DropChanged { creator: drop.creator_id, drop: drop.id }).await?;
    audit::record(tx, action, drop.id, &["state"]).await?;
    Ok(Drop { state, published_at, ..drop })
}
