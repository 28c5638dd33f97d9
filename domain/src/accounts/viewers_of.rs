//! Who many bearer tokens are: for connections that outlive a request.

use std::collections::HashMap;

use sea_orm::DbErr;

use super::{Viewer, api_token, session};
use crate::{creators::member, platform::Db};

/// Hashes looked up by one statement.
const AT_ONCE: usize = 500;

/// The viewers of bearer tokens, by their hashes (`Secret::hash`), as [`viewer_of`](super::viewer_of()) says of each; those of tokens
/// that are unknown, revoked or run out are not there. Three statements for five hundred.
pub async fn viewers_of(db: &Db, hashes: &[Vec<u8>]) -> Result<HashMap<Vec<u8>, Viewer>, DbErr> {
    let (now, conn) = (db.now(), db.reader());
    let mut viewers = HashMap::with_capacity(hashes.len());
    for some in hashes.chunks(AT_ONCE) {
        let sessions = session::presented_of(conn, some, now).await?;
        let accounts: Vec<_> = sessions.iter().filter_map(|row| row.account_id).collect();
        let memberships = member::of_accounts(conn, &accounts).await?;
        for row in sessions {
            let memberships = row.account_id.and_then(|account| memberships.get(&account).cloned()).unwrap_or_default();
            viewers.extend(row.viewer(memberships).map(|viewer| (row.secret_hash, viewer)));
        }
        let tokens = api_token::presented_of(conn, some, now).await?;
        viewers.extend(tokens.into_iter().map(|row| (row.secret_hash.clone(), Viewer::Token(row.viewer()))));
    }
    Ok(viewers)
}
