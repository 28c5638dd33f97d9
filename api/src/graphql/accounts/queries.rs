//! Queries of the viewer and of accounts.

use async_graphql::{Context, Object};
use domain::{
    accounts::{Email, queries},
    platform::access::Administer,
};

use super::{Account, Viewer};
use crate::graphql::{
    connection::{Connection, List},
    context::ContextExt,
    errors::Internal,
    input::argument,
};

/// The queries of the viewer and of accounts.
#[derive(Default)]
pub struct AccountsQuery;

#[Object]
impl AccountsQuery {
    /// The viewer, which the bearer token of the request identifies.
    async fn viewer(&self, ctx: &Context<'_>) -> Viewer {
        Viewer(ctx.viewer().clone())
    }

    /// All accounts, newest first. For administrators.
    async fn accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only the account with this e-mail address.")] email: Option<String>,
    ) -> async_graphql::Result<Connection<Account>> {
        let scope = ctx.scope(Administer)?;
        let list = List::of(ctx, "accounts")?;
        let email = argument("email", email.map(|email| Email::new(&email)).transpose())?;
        let slice = queries::accounts(ctx.db(), &scope, email.as_ref(), &list.page).await.internal()?;
        let slice = slice.map(|row| Account::seen_by(ctx.viewer(), row));
        Ok(list.connection(slice, ctx.db(), (scope, email), |db, (scope, email)| async move {
            queries::accounts_count(&db, &scope, email.as_ref()).await
        }))
    }
}
