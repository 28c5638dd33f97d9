//! Which bearer tokens are still good: for connections that outlive a request.

use std::collections::HashSet;

use sea_orm::DbErr;

use super::{api_token, session};
use crate::platform::Db;

/// Hashes looked up by one statement.
const AT_ONCE: usize = 500;

/// Those of the hashes (`Secret::hash`) whose session or API token is neither revoked nor run out: two statements for five hundred.
pub async fn still_good(db: &Db, hashes: &[Vec<u8>]) -> Result<HashSet<Vec<u8>>, DbErr> {
    let now = db.now();
    let mut good = HashSet::with_capacity(hashes.len());
    for some in hashes.chunks(AT_ONCE) {
        good.extend(session::live_hashes(db.reader(), some, now).await?);
        good.extend(api_token::live_hashes(db.reader(), some, now).await?);
    }
    Ok(good)
}
