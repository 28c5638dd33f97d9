//! Queries of the viewer's checkouts and of a creator's reservations.

use async_graphql::{Context, ID, InputObject, Object};
use chrono::{DateTime, Utc};
use domain::{
    platform::{
        access::{Buy, BuyerScope, Manage, Permission},
        ids::{CheckoutId, CreatorId},
    },
    reservations::queries::{self, ReservationFilter as Filter},
};

use super::{Checkout, Reservation, ReservationState};
use crate::graphql::{
    connection::{Connection, List},
    context::{self, ContextExt},
    errors::Internal,
    input::{Form, InvalidInput, parsed},
};

/// A filter of a creator's reservations. All conditions must hold.
#[derive(InputObject, Default)]
pub struct ReservationFilter {
    /// Only reservations in this drop.
    pub drop_id: Option<ID>,
    /// Only reservations in one of these states.
    #[graphql(validator(max_items = 5))]
    pub states: Option<Vec<ReservationState>>,
    /// Only reservations made at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Only reservations made before this time.
    pub until: Option<DateTime<Utc>>,
}

impl ReservationFilter {
    fn parse(self) -> Result<Filter, InvalidInput> {
        let mut form = Form::new();
        let filter = form.inside("filter", |form| {
            parsed!(Filter {
                drop: form.optional("dropId", self.drop_id.as_ref().map(context::id)),
                states: Ok(self.states.map(|states| states.into_iter().map(Into::into).collect())),
                since: Ok(self.since),
                until: Ok(self.until),
            })
        });
        form.finish(filter)
    }
}

/// Returns a checkout of the viewer.
pub(super) async fn own_checkout(
    ctx: &Context<'_>,
    scope: &BuyerScope,
    id: CheckoutId,
) -> async_graphql::Result<Option<Checkout>> {
    Ok(queries::checkout(ctx.db(), scope, id).await.internal()?.map(Checkout::from))
}

/// The queries of checkouts and reservations.
#[derive(Default)]
pub struct ReservationsQuery;

#[Object]
impl ReservationsQuery {
    /// A checkout of the viewer. Null if it does not exist or is not yours.
    async fn checkout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the checkout.")] id: ID,
    ) -> async_graphql::Result<Option<Checkout>> {
        let scope = ctx.scope(Buy)?;
        let Ok(id) = context::id(&id) else { return Ok(None) };
        own_checkout(ctx, &scope, id).await
    }

    /// The viewer's own checkouts, newest first.
    async fn checkouts(&self, ctx: &Context<'_>) -> async_graphql::Result<Connection<Checkout>> {
        let list = List::of(ctx, "checkouts")?;
        let scope = ctx.scope(Buy)?;
        let slice = queries::checkouts(ctx.db(), &scope, &list.page).await.internal()?;
        let count = |db, scope| async move { queries::checkouts_count(&db, &scope).await };
        Ok(list.connection(slice.map(Checkout::from), ctx.db(), scope, count))
    }

    /// The reservations with a creator, newest first. For the creator's members, and for its secret tokens
    /// with `RESERVATIONS_READ`. Null if there is no such creator, or it is not yours.
    async fn reservations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the creator.")] creator_id: ID,
        #[graphql(desc = "A filter.")] filter: Option<ReservationFilter>,
    ) -> async_graphql::Result<Option<Connection<Reservation>>> {
        let list = List::of(ctx, "reservations")?;
        let Ok(creator) = context::id::<CreatorId>(&creator_id) else { return Ok(None) };
        let action = Manage { creator, permission: Permission::ReservationsRead };
        let Some(scope) = ctx.scope_if_found(action)? else { return Ok(None) };
        let filter = filter.unwrap_or_default().parse()?;
        let slice = queries::reservations(ctx.db(), &scope, &filter, &list.page).await.internal()?;
        Ok(Some(list.connection(
            slice.map(Reservation),
            ctx.db(),
            (scope, filter),
            |db, (scope, filter)| async move { queries::reservations_count(&db, &scope, &filter).await },
        )))
    }
}
