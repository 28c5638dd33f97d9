//! Queries of creators: the list, and a creator by slug.

use async_graphql::{Context, Enum, Object};
use domain::{
    creators::{CreatorSort as Sort, queries},
    platform::ids::CreatorId,
};

use super::Creator;
use crate::graphql::{
    connection::{Connection, List},
    context::ContextExt,
    errors::Internal,
};

/// The order of a list of creators.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "Sort")]
pub enum CreatorSort {
    /// The most recently created first.
    Newest,
    /// By name, from A to Z.
    Name,
}

/// Returns the id of the creator with a current or past slug.
pub(crate) async fn creator_id_by_slug(
    ctx: &Context<'_>,
    slug: &str,
) -> async_graphql::Result<Option<CreatorId>> {
    let sight = ctx.sight()?;
    let creator = queries::by_slug(ctx.db(), sight.public_scope(), slug).await.internal()?;
    Ok(creator.map(|creator| creator.id))
}

/// The queries of creators.
#[derive(Default)]
pub struct CreatorsQuery;

#[Object]
impl CreatorsQuery {
    /// The creators of the marketplace. A creator's token gets only that creator.
    async fn creators(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The order.", default_with = "CreatorSort::Newest")] sort: CreatorSort,
    ) -> async_graphql::Result<Connection<Creator>> {
        let list = List::of(ctx, format!("creators:{sort:?}"))?;
        let scope = *ctx.sight()?.public_scope();
        let slice = queries::list(ctx.db(), &scope, sort.into(), &list.page).await.internal()?;
        let count = |db, scope| async move { queries::count(&db, &scope).await };
        Ok(list.connection(slice.map(Creator), ctx.db(), scope, count))
    }

    /// The creator with the given slug, current or past. Compare `slug` with the one you asked for, and
    /// redirect if they differ. Null if there is no such creator.
    async fn creator(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The creator's slug.")] slug: String,
    ) -> async_graphql::Result<Option<Creator>> {
        let sight = ctx.sight()?;
        Ok(queries::by_slug(ctx.db(), sight.public_scope(), &slug).await.internal()?.map(Creator))
    }
}
