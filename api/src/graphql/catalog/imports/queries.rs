//! The files of products that came in.

use async_graphql::{Context, ID, Object};
use domain::{
    catalog::imports::queries,
    platform::{
        access::{Manage, Permission, authorize},
        ids::{CreatorId, ImportId},
    },
};

use super::{ProductImport, SeenImport};
use crate::graphql::{
    connection::{Connection, List},
    context::{Reach, global},
    errors::Internal,
    input::id_at,
};

/// The imports of a creator, for those who may read all of its catalogue; nothing for others.
pub(crate) async fn of_creator(
    ctx: &Context<'_>,
    creator: CreatorId,
) -> async_graphql::Result<Option<Connection<ProductImport>>> {
    let list = List::of(ctx, format!("imports:{}", global(creator).as_str()))?;
    let Ok(scope) = authorize(ctx.viewer(), Manage { creator, permission: Permission::CatalogRead }) else {
        return Ok(None);
    };
    let slice = queries::list(ctx.db(), &scope, &list.page).await.internal()?;
    let count = |db, scope| async move { queries::count(&db, &scope).await };
    Ok(Some(list.connection(slice.map(ProductImport), ctx.db(), scope, count)))
}

/// Reads of imports.
#[derive(Default)]
pub struct ImportsQuery;

#[Object]
impl ImportsQuery {
    /// Products that came as a file, and how far they are. Null when there are none of that id, or when they
    /// are not yours. For a creator's members, and its secret tokens with `catalog:read`.
    async fn product_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<ProductImport>> {
        let id = id_at::<ImportId>("id", &id)?;
        Ok(ctx.load(SeenImport(id)).await?.map(ProductImport))
    }
}
