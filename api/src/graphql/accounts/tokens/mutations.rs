//! Mutations that create and revoke API tokens.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    accounts::{CreateToken, CreateTokenRefusal, RevokeTokenRefusal, TokenName, create_token, revoke_token},
    platform::access::ManageTokens,
};

use super::{ApiToken, ApiTokenKind, ApiTokenPermission};
use crate::graphql::{
    context::{ContextExt, id},
    input::{Form, both, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(
    ApiTokenCreateError,
    ApiTokenCreateErrorCode,
    CreateTokenRefusal {
        PermissionsOfPublishable: "A publishable token appears in public pages, so it cannot have \
            permissions.",
        NoPermissions: "A secret token needs at least one permission.",
        ExpiryPast: "The expiry is not in the future.",
        ExpiryTooFar: "The expiry is more than {TOKEN_YEARS} years in the future. Leave it out for a token \
            that does not expire.",
        TooManyTokens: "There are {TOKENS} valid tokens already. Revoke one first.",
    }
);
user_error!(ApiTokenRevokeError, ApiTokenRevokeErrorCode, RevokeTokenRefusal {} not_found: NotFound);

payload!(
    ApiTokenCreatePayload,
    ApiTokenCreateError {
        /// The bearer token, which is shown only this once. It is not stored, so it cannot be shown again.
        secret: String,
        /// The new token.
        token: ApiToken,
    }
);
payload!(
    ApiTokenRevokePayload,
    ApiTokenRevokeError {
        /// The revoked token. Neither the token nor the sessions that it opened for buyers work any more.
        token: ApiToken,
    }
);

/// A new API token.
#[derive(InputObject)]
pub struct ApiTokenCreateInput {
    /// The global id of the creator that the token belongs to. Without it, the token belongs to the
    /// marketplace.
    pub creator_id: Option<ID>,
    /// The kind: publishable or secret.
    pub kind: ApiTokenKind,
    /// The purpose of the token, at most {TOKEN_NAME_CHARS} characters. Buyers see it when a storefront asks
    /// to open a session for them.
    pub name: String,
    /// The permissions of a secret token, at least one. A publishable token has none.
    #[graphql(default)]
    pub permissions: Vec<ApiTokenPermission>,
    /// When the token expires, at most {TOKEN_YEARS} years from now. Without it, the token is valid until it
    /// is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The API token to revoke.
#[derive(InputObject)]
pub struct ApiTokenRevokeInput {
    /// The global id of the creator that the token belongs to. Leave it out for a token of the marketplace.
    pub creator_id: Option<ID>,
    /// The global id of the token.
    pub id: ID,
}

/// The mutations of API tokens.
#[derive(Default)]
pub struct TokensMutation;

#[Object]
impl TokensMutation {
    /// Creates an API token. For owners of the creator, and for administrators of the marketplace, who are
    /// signed in. The secret of the token is shown only once.
    async fn api_token_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new token.")] input: ApiTokenCreateInput,
    ) -> async_graphql::Result<ApiTokenCreatePayload> {
        answer(async {
            let mut form = Form::new();
            let creator = form.optional("creatorId", input.creator_id.as_ref().map(id));
            let request = parsed!(CreateToken {
                name: form.field("name", TokenName::new(&input.name)),
                kind: Ok(input.kind.into()),
                permissions: Ok(input.permissions.into_iter().map(Into::into).collect()),
                expires_at: Ok(input.expires_at),
            });
            let (creator, request) = form.finish(both(creator, request))?;
            let scope = ctx.scope_at(ManageTokens { creator }, "creatorId")?;
            let made = create_token(ctx.db(), &scope, request).await?;
            Ok(ApiTokenCreatePayload::done(made.secret.expose().to_owned(), ApiToken(made.token)))
        })
        .await
    }

    /// Revokes an API token and ends the sessions that it opened for buyers. If it is revoked already,
    /// nothing changes.
    async fn api_token_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token to revoke.")] input: ApiTokenRevokeInput,
    ) -> async_graphql::Result<ApiTokenRevokePayload> {
        answer(async {
            let mut form = Form::new();
            let creator = form.optional("creatorId", input.creator_id.as_ref().map(id));
            let token = form.id("id", &input.id);
            let (creator, token) = form.finish(both(creator, token))?;
            let scope = ctx.scope_at(ManageTokens { creator }, "creatorId")?;
            Ok(ApiTokenRevokePayload::done(ApiToken(revoke_token(ctx.db(), &scope, token).await?)))
        })
        .await
    }
}
