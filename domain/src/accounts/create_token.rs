//! To make an API token.

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

/// The longest that a token with an expiry may last: who wants longer wants none.
const TOKEN_LASTS_MAX: TimeDelta = TimeDelta::days(731);
/// How many living tokens a creator, or the marketplace, may have.
const TOKENS_MAX: u64 = 100;

/// What token is wanted.
#[derive(Debug, Clone)]
pub struct CreateToken {
    /// What it is for.
    pub name: TokenName,
    /// Publishable or secret.
    pub kind: TokenKind,
    /// What a secret one may do; named twice counts once.
    pub permissions: Vec<Permission>,
    /// Until when; `None` is until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A token that has just been made.
#[derive(Debug, Clone)]
pub struct TokenCreated {
    /// The bearer token: shown this once.
    pub secret: Secret,
    /// The token.
    pub token: ApiToken,
}

/// Why no token is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateTokenRefusal {
    /// A publishable token stands in public pages: it has no permissions.
    #[error("a publishable token has no permissions")]
    PermissionsOfPublishable,
    /// A secret token that may do nothing.
    #[error("a secret token needs at least one permission")]
    NoPermissions,
    /// The expiry is not in the future.
    #[error("the expiry must be in the future")]
    ExpiryPast,
    /// The expiry is more than two years away.
    #[error("the expiry must be within two years")]
    ExpiryTooFar,
    /// There are as many as there may be already.
    #[error("there are too many tokens: revoke one first")]
    TooManyTokens,
}

/// Makes a token. Its secret is answered once and stored as a hash.
pub async fn create_token(
    db: &Db,
    scope: &TokensScope,
    request: CreateToken,
) -> Result<TokenCreated, OpError<CreateTokenRefusal>> {
    in_tx(db, scope, async |tx| {
        OpError::refuse_if_any(complaints(&request, tx.now()))?;
        // Requests of the same moment may pass together: the bound protects a list's size, no right.
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
