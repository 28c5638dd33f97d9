//! Subscriptions to reservations and checkouts.

use async_graphql::{Context, Error, ID, Subscription};
use chrono::{DateTime, Utc};
use domain::{
    platform::{
        Db,
        access::{Buy, Manage, Permission, Viewer, authorize},
        ids::{CreatorId, ReservationId},
    },
    reservations::{self, queries as checkouts, state::ReservationState},
};

use super::{Checkout, Reservation};
use crate::{
    graphql::{
        context::{self, ContextExt},
        errors::{Internal, denied},
        follow::{Look, States, follow, next_of, nothing},
    },
    live::topics::Topic,
};

/// Returns a reservation that belongs to the viewer's own checkout, or to a creator for whom the viewer may
/// read reservations.
async fn seen_reservation(
    db: &Db,
    viewer: &Viewer,
    id: ReservationId,
) -> Result<Option<reservations::Reservation>, Error> {
    let buyer = authorize(viewer, Buy);
    if let Ok(scope) = &buyer
        && let Some(own) = checkouts::own_reservations(db, scope, &[id]).await.internal()?.remove(&id)
    {
        return Ok(Some(own));
    }
    let creators: Vec<CreatorId> = match viewer {
        Viewer::Account(account) => account.memberships.iter().map(|(creator, _)| *creator).collect(),
        Viewer::Token(token) => token.creator.into_iter().collect(),
        Viewer::Public | Viewer::Guest(..) => Vec::new(),
    };
    let permission = Permission::ReservationsRead;
    let scopes =
        creators.into_iter().filter_map(|creator| authorize(viewer, Manage { creator, permission }).ok());
    let mut may_see_some = buyer.is_ok();
    for scope in scopes {
        may_see_some = true;
        if let Some(line) = checkouts::reservation(db, &scope, id).await.internal()? {
            return Ok(Some(line));
        }
    }
    match buyer {
        Err(why) if !may_see_some => Err(denied(why)),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The subscriptions of checkouts and reservations.
#[derive(Default)]
pub struct ReservationsSubscription;

#[Subscription]
impl ReservationsSubscription {
    /// Sends a reservation now and after each change of it or of its checkout. For its buyer, for its
    /// creator's members, and for the creator's secret tokens with `RESERVATIONS_READ`. Sends null and
    /// completes if it does not exist, or the viewer may not see it.
    async fn reservation_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the reservation.")] id: ID,
    ) -> async_graphql::Result<States<Reservation>> {
        let id = context::id::<ReservationId>(&id);
        let (db, viewer) = (ctx.db().clone(), ctx.viewer().clone());
        // Checked even for a malformed id: a viewer who may see no reservation gets an error.
        let line = seen_reservation(&db, &viewer, id.unwrap_or(ReservationId(uuid::Uuid::nil()))).await?;
        let Some(line) = line else { return Ok(nothing()) };
        // A reservation never moves to another checkout.
        let (topic, id) = (Topic::Checkout(line.checkout_id), line.id);
        follow(ctx, topic, move || {
            let (db, viewer) = (db.clone(), viewer.clone());
            async move {
                let row = seen_reservation(&db, &viewer, id).await?;
                Ok(row.map(|row| Look {
                    changes_at: next_of(db.now(), held_until(&row)),
                    value: Reservation(row),
                }))
            }
        })
        .await
    }

    /// Sends a checkout of the viewer now and after each change of its lines, its deadline or its payment,
    /// and when its hold ends. Sends null and completes if it does not exist or is not yours.
    async fn checkout_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the checkout.")] id: ID,
    ) -> async_graphql::Result<States<Checkout>> {
        let scope = ctx.scope(Buy)?;
        let Ok(id) = context::id(&id) else { return Ok(nothing()) };
        let db = ctx.db().clone();
        follow(ctx, Topic::Checkout(id), move || {
            let db = db.clone();
            async move {
                let row = checkouts::checkout(&db, &scope, id).await.internal()?;
                Ok(row.map(|row| Look {
                    changes_at: next_of(db.now(), [row.expires_at]),
                    value: Checkout::from(row),
                }))
            }
        })
        .await
    }
}

fn held_until(row: &reservations::Reservation) -> Option<DateTime<Utc>> {
    (row.state == ReservationState::Held).then_some(row.expires_at)
}
