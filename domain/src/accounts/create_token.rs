//! Creates an API token.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ActiveModelTrait, IntoActiveModel};

use super::{ApiToken, TokenName, api_token};
use crate::platform::{
    Db, OpError, Refused,
    access::{Permission, TokenKind, TokensScope},
    audit,
    entropy::Secret,
    in_tx,
};

/// The longest lifetime of a token that expires. A token that is needed for longer should have no expiry.
const TOKEN_LASTS_MAX: TimeDelta = TimeDelta::days(TOKEN_YEARS_MAX * 365 + 1);
/// [`TOKEN_LASTS_MAX`] in years, of which one may be a leap year.
pub const TOKEN_YEARS_MAX: i64 = 2;
/// The most live tokens that a creator, or the marketplace, may have.
pub const TOKENS_MAX: u64 = 100;

/// A request to create an API token.
#[derive(Debug, Clone)]
pub struct CreateToken {
    /// The purpose of the token.
    pub name: TokenName,
    /// Publishable or secret.
    pub kind: TokenKind,
    /// The permissions of a secret token; duplicates are ignored.
    pub permissions: Vec<Permission>,
    /// When the token expires; `None` if it is valid until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token that was just created.
#[derive(Debug, Clone)]
pub struct TokenCreated {
    /// The bearer token. It is shown only this once.
    pub secret: Secret,
    /// The token.
    pub token: ApiToken,
}

/// The reasons to refuse to create a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateTokenRefusal {
    /// A publishable token with permissions. Such tokens appear in public pages, so they have no permissions.
    #[error("a publishable token has no permissions")]
    PermissionsOfPublishable,
    /// A secret token without permissions.
    #[error("a secret token needs at least one permission")]
    NoPermissions,
    /// The expiry is not in the future.
    #[error("the expiry must be in the future")]
    ExpiryPast,
    /// The expiry is more than two years in the future.
    #[error("the expiry must be within two years")]
    ExpiryTooFar,
    /// There are already as many tokens as allowed.
    #[error("there are too many tokens: revoke one first")]
    TooManyTokens,
}

/// Creates a token. The secret is returned once; only its hash is stored.
pub async fn create_token(
    db: &Db,
    scope: &TokensScope,
    request: CreateToken,
) -> Result<TokenCreated, OpError<CreateTokenRefusal>> {
    in_tx(db, scope, async |tx| {
        OpError::refuse_if_any(complaints(&request, tx.now()))?;
        // Concurrent requests may both pass this check. That is acceptable: the limit bounds the size of a
        // list and grants no right.
        if api_token::live_count(tx, scope).await? >= TOKENS_MAX {
            return Err(OpError::refuse(CreateTokenRefusal::TooManyTokens));
        }
        let mut permissions = request.permissions;
        permissions.sort();
        permissions.dedup();
        let prefix = match request.kind {
            TokenKind::Publishable => "sr_pub",
            TokenKind::Secret => "sr_sec",
        };
        let secret = tx.entropy().secret(prefix);
        let row = api_token::Model {
            id: tx.new_id(),
            kind: request.kind,
            creator_id: scope.creator(),
            name: request.name.into_string(),
            secret_hash: secret.hash(),
            permissions: api_token::write_permissions(&permissions),
            actor: tx.actor().to_string(),
            created_at: tx.now(),
            expires_at: request.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        let row = row.into_active_model().insert(tx.conn()).await?;
        audit::record(tx, "token.create", row.id, &["kind", "name", "permissions", "expires_at"]).await?;
        Ok(TokenCreated { secret, token: row.into() })
    })
    .await
}

fn complaints(request: &CreateToken, now: DateTime<Utc>) -> Vec<Refused<CreateTokenRefusal>> {
    let mut complaints = Vec::new();
    match (request.kind, request.permissions.is_empty()) {
        (TokenKind::Publishable, false) => {
            complaints.push(Refused::field(CreateTokenRefusal::PermissionsOfPublishable, "permissions"));
        }
        (TokenKind::Secret, true) => {
            complaints.push(Refused::field(CreateTokenRefusal::NoPermissions, "permissions"))
        }
        (TokenKind::Publishable, true) | (TokenKind::Secret, false) => {}
    }
    if let Some(expires_at) = request.expires_at {
        if expires_at <= now {
            complaints.push(Refused::field(CreateTokenRefusal::ExpiryPast, "expiresAt"));
        } else if expires_at.signed_duration_since(now) > TOKEN_LASTS_MAX {
            complaints.push(Refused::field(CreateTokenRefusal::ExpiryTooFar, "expiresAt"));
        }
    }
    complaints
}
