//! Revokes an API token.

use super::{ApiToken, api_token, session};
use crate::platform::{Db, OpError, access::TokensScope, audit, ids::TokenId, in_tx};

/// The reasons to refuse to revoke a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeTokenRefusal {
    /// The token is unknown, or belongs to somebody else.
    #[error("not found")]
    NotFound,
}

/// Revokes a token and ends the sessions that it opened for buyers: whoever holds the token may hold the
/// secrets of those sessions too. Revoking a token again changes nothing.
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
            // The sessions belong to buyers, so they are outside the tenant's rows.
            tx.beyond_wall(async || session::revoke_opened_by(tx, id).await).await?;
            audit::record(tx, "token.revoke", id, &["revoked_at"]).await?;
        }
        Ok(row.into())
    })
    .await
}
