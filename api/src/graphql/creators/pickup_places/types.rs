//! Pickup places, and who may see their addresses.

use std::collections::HashMap;

use async_graphql::{Context, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};
use domain::{
    creators::pickup_places::{self as rules, queries},
    drops,
    platform::{
        access::{Buy, authorize},
        ids::PickupPlaceId,
    },
    reservations,
};
use sea_orm::DbErr;

use crate::graphql::{
    connection::ListNode,
    context::{ContextExt, global},
    creators::{Creator, CreatorById},
    loaders::{Loaders, edge},
};

edge!(
    /// A pickup place of the viewer's creators, or one that an announced drop offers.
    SeenPickupPlace(PickupPlaceId) -> rules::PickupPlace,
    |loaders, ids| drops::queries::pickup_places_by_ids(&loaders.db, &loaders.sight, ids)
);
edge!(
    /// A pickup place that something in the viewer's scope refers to.
    ReferredPickupPlace(PickupPlaceId) -> rules::PickupPlace,
    |loaders, ids| queries::referred(&loaders.db, ids)
);
edge!(
    /// A pickup place where the viewer picks up units, after paying the deposit.
    OpenPickupPlace(PickupPlaceId) -> (), |loaders, ids| open_places(loaders, ids)
);

async fn open_places(loaders: &Loaders, ids: &[PickupPlaceId]) -> Result<HashMap<PickupPlaceId, ()>, DbErr> {
    let Ok(scope) = authorize(&loaders.viewer, Buy) else { return Ok(HashMap::new()) };
    let open = reservations::queries::open_places(&loaders.db, &scope, ids).await?;
    Ok(open.into_iter().map(|place| (place, ())).collect())
}

/// The address of a pickup place.
#[derive(SimpleObject, Debug, Clone)]
pub struct PickupAddress {
    /// The street and number.
    pub line1: String,
    /// A second address line.
    pub line2: Option<String>,
    /// The postal code in the format of the country. Null where there are none.
    pub postal_code: Option<String>,
    /// The town.
    pub city: String,
}

/// A pickup place.
#[derive(Clone)]
pub struct PickupPlace(pub(crate) rules::PickupPlace);

impl ListNode for PickupPlace {}

impl PickupPlace {
    /// Whether the viewer may see the address: as a member of the creator, or as a buyer who has paid the
    /// deposit of a reservation that is picked up here.
    async fn is_open(&self, ctx: &Context<'_>) -> async_graphql::Result<bool> {
        Ok(ctx.sight()?.sees_hidden_of(self.0.creator_id)
            || ctx.load(OpenPickupPlace(self.0.id)).await?.is_some())
    }
}

/// A place where buyers pick up their units. Everybody sees its name and town. The address, the opening hours
/// and the note are for the creator's members, for its secret tokens with `CATALOG_READ`, and for buyers who
/// have paid the deposit of a reservation that they pick up here.
#[Object]
impl PickupPlace {
    /// The global id.
    pub(crate) async fn id(&self) -> ID {
        global(self.0.id)
    }
    /// The creator.
    async fn creator(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Creator>> {
        Ok(ctx.load(CreatorById(self.0.creator_id)).await?.map(Creator))
    }
    /// The name.
    async fn name(&self) -> &str {
        &self.0.name
    }
    /// The town.
    async fn city(&self) -> &str {
        &self.0.city
    }
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`. Its tax applies to units that are picked up
    /// here.
    async fn country(&self) -> &str {
        self.0.country.code()
    }
    /// The address. Null if the viewer may not see it.
    async fn address(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<PickupAddress>> {
        let rules::PickupPlace { line1, line2, postal_code, city, .. } = &self.0;
        Ok(self.is_open(ctx).await?.then(|| PickupAddress {
            line1: line1.clone(),
            line2: line2.clone(),
            postal_code: postal_code.clone(),
            city: city.clone(),
        }))
    }
    /// The opening hours, in words. Null if there are none, or the viewer may not see them.
    async fn hours(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        Ok(if self.is_open(ctx).await? { self.0.hours.as_deref() } else { None })
    }
    /// A note for those who come. Null if there is none, or the viewer may not see it.
    async fn note(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<&str>> {
        Ok(if self.is_open(ctx).await? { self.0.note.as_deref() } else { None })
    }
    /// Whether the place is archived: no further drop can offer it.
    async fn archived(&self) -> bool {
        self.0.archived_at.is_some()
    }
    /// The version of the place, which grows with every change. Pass it to `pickupPlaceUpdate` to detect
    /// changes by others.
    async fn version(&self) -> i64 {
        self.0.version
    }
    /// When the place was created.
    async fn created_at(&self) -> DateTime<Utc> {
        self.0.created_at
    }
}
