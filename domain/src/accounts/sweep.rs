//! To forget what has ended.

use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{links, session};
use crate::platform::Tx;

/// Deletes links that ran out, and sessions that ended, before `before`. Answers how many rows.
pub async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let links = links::sweep(tx, before).await?;
    Ok(links.saturating_add(session::sweep(tx, before).await?))
}
