//! Deletes expired links and ended sessions.

use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{links, session};
use crate::platform::Tx;

/// Deletes the links that expired, and the sessions that ended, before `before`. Returns the number of rows.
pub async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let links = links::sweep(tx, before).await?;
    Ok(links.saturating_add(session::sweep(tx, before).await?))
}
