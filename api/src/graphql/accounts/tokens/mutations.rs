//! To make and revoke API tokens.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    accounts::{CreateToken, CreateTokenRefusal, RevokeTokenRefusal, TokenName, create_token, revoke_token},
    platform::access::ManageTokens,
};

use super::{ApiToken, ApiTokenKind, ApiTokenPermission};
use crate::graphql::{
    context::{Reach, id},
    input::{Form, both, parsed},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(
    ApiTokenCreateError,
    ApiTokenCreateErrorCode,
    CreateTokenRefusal {
        PermissionsOfPublishable: "A publishable token stands in public pages: it has no permissions.",
        NoPermissions: "A secret token needs at least one permission.",
        ExpiryPast: "The expiry is not in the future.",
        ExpiryTooFar: "The expiry is more than two years away; leave it out for a token without one.",
        TooManyTokens: "There are 100 tokens that are good: revoke one first.",
    }
);
user_error!(ApiTokenRevokeError, ApiTokenRevokeErrorCode, RevokeTokenRefusal {} not_found: NotFound);

payload!(
    ApiTokenCreatePayload,
    ApiTokenCreateError {
        /// The bearer token, shown this once: it is not kept, and cannot be shown again.
        secret: String,
        /// The new token.
        token: ApiToken,
    }
);
payload!(
    ApiTokenRevokePayload,
    ApiTokenRevokeError {
        /// The token, which is worth nothing any more; neither are the sessions that it opened for buyers.
        token: ApiToken,
    }
);

/// A token to be made.
#[derive(InputObject)]
pub struct ApiTokenCreateInput {
    /// Whose; left out, the marketplace's.
    pub creator_id: Option<ID>,
    /// Publishable or secret.
    pub kind: ApiTokenKind,
    /// What it is for, at most 80 characters. Buyers read it when a storefront asks to open a session for
    /// them.
    pub name: String,
    /// What a secret token may do, at least one; none for a publishable one.
    #[graphql(default)]
    pub permissions: Vec<ApiTokenPermission>,
    /// Until when it is good, at most two years from now; left out, until it is revoked.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which token is to be worthless.
#[derive(InputObject)]
pub struct ApiTokenRevokeInput {
    /// Whose; left out, the marketplace's.
    pub creator_id: Option<ID>,
    /// Which token.
    pub id: ID,
}

/// Writes of API tokens.
#[derive(Default)]
pub struct TokensMutation;

#[Object]
impl TokensMutation {
    /// Make an API token. For owners of the creator, and for administrators of the marketplace, signed in;
    /// its secret is shown once.
    async fn api_token_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token to be made.")] input: ApiTokenCreateInput,
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

    /// Revoke an API token, and with it the sessions that it opened for buyers. One that is revoked already
    /// stays so.
    async fn api_token_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which token is to be worthless.")] input: ApiTokenRevokeInput,
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
