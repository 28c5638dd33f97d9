//! Queries of imports of products.

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
    context::{ContextExt, global},
    errors::Internal,
    input::id_at,
};

/// Returns the imports of a creator to those who may read its whole catalogue, and `None` to others.
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

/// The queries of imports.
#[derive(Default)]
pub struct ImportsQuery;

#[Object]
impl ImportsQuery {
    /// An import of products and its progress. Null if it does not exist, or is not yours. For the creator's
    /// members, and for its secret tokens with `CATALOG_READ`.
    async fn product_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the import.")] id: ID,
    ) -> async_graphql::Result<Option<ProductImport>> {
        let id = id_at::<ImportId>("id", &id)?;
        Ok(ctx.load(SeenImport(id)).await?.map(ProductImport))
    }
}
