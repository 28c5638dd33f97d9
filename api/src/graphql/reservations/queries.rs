//! One's own checkouts, and a creator's reservations.

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
    context::{self, Reach},
    errors::Internal,
    input::{Form, InvalidInput, parsed},
};

/// Which of a creator's reservations.
#[derive(InputObject, Default)]
pub struct ReservationFilter {
    /// Of one drop.
    pub drop_id: Option<ID>,
    /// In one of these states.
    #[graphql(validator(max_items = 5))]
    pub states: Option<Vec<ReservationState>>,
    /// Made at or after.
    pub since: Option<DateTime<Utc>>,
    /// Made before.
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

/// One of the viewer's own checkouts.
pub(super) async fn own_checkout(
    ctx: &Context<'_>,
    scope: &BuyerScope,
    id: CheckoutId,
) -> async_graphql::Result<Option<Checkout>> {
    Ok(queries::checkout(ctx.db(), scope, id).await.internal()?.map(Checkout::from))
}

/// Reads of checkouts and reservations.
#[derive(Default)]
pub struct ReservationsQuery;

#[Object]
impl ReservationsQuery {
    /// One of the viewer's own checkouts. Null when there is none of that id.
    async fn checkout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which checkout.")] id: ID,
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

    /// A creator's reservations, newest first, for its members and its tokens with `reservations:read`.
    async fn reservations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose.")] creator_id: ID,
        #[graphql(desc = "Which of them.")] filter: Option<ReservationFilter>,
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
