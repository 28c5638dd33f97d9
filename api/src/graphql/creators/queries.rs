//! The creators of the marketplace, and the one that a slug leads to.

use async_graphql::{Context, Enum, Object};
use domain::{
    creators::{CreatorSort as Sort, queries},
    platform::ids::CreatorId,
};

use super::Creator;
use crate::graphql::{
    connection::{Connection, List},
    context::Reach,
    errors::Internal,
};

/// In which order creators are listed.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Sort")]
pub enum CreatorSort {
    /// Those that opened last first.
    Newest,
    /// By name, from A to Z.
    Name,
}

/// The id of the creator that a present or past slug leads to.
pub(crate) async fn creator_id_by_slug(
    ctx: &Context<'_>,
    slug: &str,
) -> async_graphql::Result<Option<CreatorId>> {
    let sight = ctx.sight()?;
    let creator = queries::by_slug(ctx.db(), sight.public_scope(), slug).await.internal()?;
    Ok(creator.map(|creator| creator.id))
}

/// Reads of creators.
#[derive(Default)]
pub struct CreatorsQuery;

#[Object]
impl CreatorsQuery {
    /// The creators of the marketplace, as a list to page through. With a creator's token: that creator only.
    async fn creators(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In which order.", default_with = "CreatorSort::Newest")] sort: CreatorSort,
    ) -> async_graphql::Result<Connection<Creator>> {
        let list = List::of(ctx, format!("creators:{sort:?}"))?;
        let scope = *ctx.sight()?.public_scope();
        let slice = queries::list(ctx.db(), &scope, sort.into(), &list.page).await.internal()?;
        let count = |db, scope| async move { queries::count(&db, &scope).await };
        Ok(list.connection(slice.map(Creator), ctx.db(), scope, count))
    }

    /// A creator by its slug, present or past: compare `slug` with what you asked for, and redirect when it
    /// differs. Null when there is none.
    async fn creator(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator's slug.")] slug: String,
    ) -> async_graphql::Result<Option<Creator>> {
        let sight = ctx.sight()?;
        Ok(queries::by_slug(ctx.db(), sight.public_scope(), &slug).await.internal()?.map(Creator))
    }
}
