//! To make an API token worthless.

use super::{ApiToken, api_token, session};
use crate::platform::{Db, OpError, access::TokensScope, audit, ids::TokenId, in_tx};

/// Why no token is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeTokenRefusal {
    /// Unknown, or somebody else's.
    #[error("not found")]
    NotFound,
}

/// Revokes a token, and with it the sessions that it opened for buyers: whoever has the one may have the
/// others. A token that is revoked already stays so.
pub async fn revoke_token(
    db: &Db,
    scope: &TokensScope,
    id: TokenId,
) -> Result<ApiToken, OpError<RevokeTokenRefusal>> {
    in_tx(db, scope, async |tx| {
        let revoked = api_token::revoke(tx, scope, id).await?;
        let row = api_token::by_id(tx, scope, id).await?;
        let row = row.ok_or_else(|| OpError::refuse_field(RevokeTokenRefusal::NotFound, "id"))?;
        if revoked {
            // The sessions are the buyers'.
            tx.beyond_wall(async || session::revoke_opened_by(tx, id).await).await?;
            audit::record(tx, "token.revoke", id, &["revoked_at"]).await?;
        }
        Ok(row.into())
    })
    .await
}
