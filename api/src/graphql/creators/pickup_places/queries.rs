//! The list of a creator's pickup places.

use async_graphql::Context;
use domain::{
    creators::pickup_places::queries,
    platform::{
        access::{Manage, Permission, authorize},
        ids::CreatorId,
    },
};

use super::PickupPlace;
use crate::graphql::{
    connection::{Connection, List},
    context::{ContextExt, global},
    errors::Internal,
};

/// Returns the pickup places of a creator to those who may read its whole catalogue, and `None` to others.
pub(crate) async fn of_creator(
    ctx: &Context<'_>,
    creator: CreatorId,
    archived: bool,
) -> async_graphql::Result<Option<Connection<PickupPlace>>> {
    let list = List::of(ctx, format!("pickupPlaces:{}:{archived}", global(creator).as_str()))?;
    let Ok(scope) = authorize(ctx.viewer(), Manage { creator, permission: Permission::CatalogRead }) else {
        return Ok(None);
    };
    let slice = queries::list(ctx.db(), &scope, archived, &list.page).await.internal()?;
    let count = |db, (scope, archived)| async move { queries::count(&db, &scope, archived).await };
    Ok(Some(list.connection(slice.map(PickupPlace), ctx.db(), (scope, archived), count)))
}
