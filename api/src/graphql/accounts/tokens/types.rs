//! API tokens, including the one that makes the request.

use async_graphql::{Context, Enum, ID, Object};
use chrono::{DateTime, Utc};
use domain::{
    accounts as rules,
    platform::{
        access::{self, Permission, TokenViewer},
        ids::CreatorId,
    },
};

use crate::graphql::{
    connection::ListNode,
    context::{ContextExt, global},
    creators::{Creator, CreatorById},
};

/// The kind of an API token.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::TokenKind")]
pub enum ApiTokenKind {
    /// A token that is safe in a browser. It reads what is published, and lets guests buy. It begins with
    /// `sr_pub_`.
    Publishable,
    /// A token for a storefront's server, which must keep it secret. It begins with `sr_sec_`.
    Secret,
}

/// A permission of a secret token.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::Permission")]
pub enum ApiTokenPermission {
    /// Read drafts, archived products and variants, and imports of products.
    CatalogRead,
    /// Create and change products, variants and drops.
    CatalogWrite,
    /// Read the creator's reservations.
    ReservationsRead,
    /// Change the creator's profile and shipping tariffs.
    ProfileWrite,
    /// Ask buyers by e-mail to let the storefront open a session for them: `sessionRequest` and
    /// `sessionOpen`.
    SessionsOpen,
    /// Read the schema by introspection, on a deployment that restricts it. Meant for code generators.
    SchemaRead,
}

/// The API token that makes the request.
pub struct ViewerToken(pub(crate) TokenViewer);

/// The API token that makes the request, with its permissions.
#[Object]
impl ViewerToken {
    /// The global id.
    async fn id(&self) -> ID {
        global(self.0.token)
    }
    /// The kind: publishable or secret.
    async fn kind(&self) -> ApiTokenKind {
        self.0.kind.into()
    }
    /// The creator that the token belongs to. Null for a token of the marketplace.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        creator(ctx, self.0.creator).await
    }
    /// The permissions beyond reading what is published. Empty for a publishable token.
    async fn permissions(&self) -> Vec<ApiTokenPermission> {
        permissions(&self.0.permissions)
    }
}

async fn creator(ctx: &Context<'_>, creator: Option<CreatorId>) -> async_graphql::Result<Option<Creator>> {
    let Some(creator) = creator else { return Ok(None) };
    Ok(ctx.load(CreatorById(creator)).await?.map(Creator))
}

fn permissions(permissions: &[Permission]) -> Vec<ApiTokenPermission> {
    permissions.iter().copied().map(ApiTokenPermission::from).collect()
}

/// An API token, without its secret.
#[derive(Clone)]
pub struct ApiToken(pub(crate) rules::ApiToken);

impl ListNode for ApiToken {}

/// An API token of a creator or of the marketplace. Its secret was shown when it was created, and is not
/// stored.
#[Object]
impl ApiToken {
    /// The global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The purpose of the token. Buyers see it when a storefront asks to open a session for them.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// The kind: publishable or secret.
    async fn kind(&self) -> ApiTokenKind {
        self.0.kind.into()
    }
    /// The creator that the token belongs to. Null for a token of the marketplace.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        creator(ctx, self.0.creator).await
    }
    /// The permissions beyond reading what is published. Empty for a publishable token.
    async fn permissions(&self) -> Vec<ApiTokenPermission> {
        permissions(&self.0.permissions)
    }
    /// When the token was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// When the token expires. Null if it is valid until it is revoked.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }
    /// When the token was last used, to the minute. Null if it was never used.
    async fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_used_at
    }
    /// When the token was revoked. Null if it was not revoked.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }
}
