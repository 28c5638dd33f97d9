//! The query of API tokens.

use async_graphql::{Context, ID, Object};
use domain::{
    accounts::queries,
    platform::{access::ManageTokens, ids::CreatorId},
};

use super::ApiToken;
use crate::graphql::{
    connection::{Connection, List},
    context::{ContextExt, id},
    errors::Internal,
};

/// The queries of API tokens.
#[derive(Default)]
pub struct TokensQuery;

#[Object]
impl TokensQuery {
    /// The API tokens of a creator or of the marketplace, including revoked ones, newest first. For owners of
    /// the creator, and for administrators, who are signed in and have confirmed their e-mail address. Null
    /// if there is no such creator, or it is not yours.
    async fn api_tokens(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator. The default is the marketplace.")] creator_id: Option<ID>,
    ) -> async_graphql::Result<Option<Connection<ApiToken>>> {
        let list = List::of(ctx, "apiTokens")?;
        let Ok(creator) = creator_id.as_ref().map(id::<CreatorId>).transpose() else { return Ok(None) };
        let Some(scope) = ctx.scope_if_found(ManageTokens { creator })? else { return Ok(None) };
        let slice = queries::tokens(ctx.db(), &scope, &list.page).await.internal()?;
        let count = |db, scope| async move { queries::tokens_count(&db, &scope).await };
        Ok(Some(list.connection(slice.map(ApiToken), ctx.db(), scope, count)))
    }
}
