//! Stores a drop's new state, which [`transition`](super::state::transition) has returned.

use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{
    drop_row::{self, Model as Drop},
    state::DropState,
};
use crate::platform::{Tx, audit, facts::Fact, outbox};

/// Stores the new state of a drop, publishes the fact [`Fact::DropChanged`], and records the change in the
/// audit log. The drop's row must be locked. Returns the drop in its new state.
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
