//! API tokens, and the one that asks.

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
    context::{Reach, global},
    creators::{Creator, CreatorById},
};

/// The two kinds of API tokens.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::TokenKind")]
pub enum ApiTokenKind {
    /// Safe in a browser: reads what is published, and lets guests buy. Begins with `sr_pub_`.
    Publishable,
    /// For a storefront's server, which keeps it to itself. Begins with `sr_sec_`.
    Secret,
}

/// What a secret token may do.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "access::Permission")]
pub enum ApiTokenPermission {
    /// Read drafts, and archived things of the catalogue.
    CatalogRead,
    /// Change products, variants and drops.
    CatalogWrite,
    /// Read the creator's reservations.
    ReservationsRead,
    /// Change the creator's profile.
    ProfileWrite,
    /// Ask buyers by e-mail to let a session be opened for them: `sessionRequest` and `sessionOpen`.
    SessionsOpen,
    /// Ask about the schema where the deployment does not let everybody: for code generators.
    SchemaRead,
}

/// The API token that asks.
pub struct ViewerToken(pub(crate) TokenViewer);

/// The API token that asks: what it is and may do.
#[Object]
impl ViewerToken {
    /// Global id.
    async fn id(&self) -> ID {
        global(self.0.token)
    }
    /// Publishable or secret.
    async fn kind(&self) -> ApiTokenKind {
        self.0.kind.into()
    }
    /// The creator that it belongs to; null is the marketplace.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        creator(ctx, self.0.creator).await
    }
    /// What it may do besides reading what is published. Empty for a publishable one.
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

/// An API token of a creator or of the marketplace. Its secret was shown when it was made, and is not kept.
#[Object]
impl ApiToken {
    /// Global id.
    async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// What it is for. Buyers read the name of a storefront's token when it asks to open a session for them.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// Publishable or secret.
    async fn kind(&self) -> ApiTokenKind {
        self.0.kind.into()
    }
    /// Whose it is; null is the marketplace's.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        creator(ctx, self.0.creator).await
    }
    /// What it may do besides reading what is published. Empty for a publishable one.
    async fn permissions(&self) -> Vec<ApiTokenPermission> {
        permissions(&self.0.permissions)
    }
    /// When it was made.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
    /// Until when it is good; null is until it is revoked.
    async fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.0.expires_at
    }
    /// When it was last used, to the minute; null when never.
    async fn last_used_at(&self) -> Option<DateTime<Utc>> {
        self.0.last_used_at
    }
    /// Since when it is worth nothing, if it was revoked.
    async fn revoked_at(&self) -> Option<DateTime<Utc>> {
        self.0.revoked_at
    }
}
