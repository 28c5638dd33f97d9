//! Ends a session from another session of the same account.

use super::session;
use crate::platform::{Db, OpError, access::AccountScope, audit, ids::SessionId, in_tx};

/// The reasons to refuse to end a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeSessionRefusal {
    /// The session is unknown, belongs to somebody else, or has ended already.
    #[error("not found")]
    NotFound,
}

/// Ends a session of the scope's account.
pub async fn revoke_session(
    db: &Db,
    scope: &AccountScope,
    id: SessionId,
) -> Result<(), OpError<RevokeSessionRefusal>> {
    in_tx(db, scope.actor(), async |tx| {
        if !session::revoke_one(tx, scope, id).await? {
            return Err(OpError::refuse_field(RevokeSessionRefusal::NotFound, "id"));
        }
        Ok(audit::record(tx, "session.end", id, &["revoked_at"]).await?)
    })
    .await
}
