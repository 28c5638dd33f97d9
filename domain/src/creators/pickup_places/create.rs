//! Creates a pickup place.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use super::{
    OpeningHours, PickupNote, PickupPlace, PickupPlaceName,
    place_row::{self, ActiveModel},
};
use crate::{
    creators,
    platform::{
        Country, Db, OpError,
        access::CreatorScope,
        address_lines::{City, PostalCode, Street},
        audit,
        facts::Fact,
        ids::PickupPlaceId,
        in_tx, outbox,
    },
};

/// The most places of a creator that are not archived.
pub const PICKUP_PLACES_MAX: u64 = 100;

/// A request to create a pickup place.
#[derive(Debug, Clone)]
pub struct CreatePickupPlace {
    /// The name, which the public sees.
    pub name: PickupPlaceName,
    /// The street and number.
    pub line1: Street,
    /// A second line of the address.
    pub line2: Option<Street>,
    /// The postal code, if the country has them.
    pub postal_code: Option<PostalCode>,
    /// The city or town, which the public sees.
    pub city: City,
    /// The country. It decides the tax of what is picked up here.
    pub country: Country,
    /// The opening hours, in words.
    pub hours: Option<OpeningHours>,
    /// A note for those who come.
    pub note: Option<PickupNote>,
}

/// The reasons to refuse to create a pickup place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreatePickupPlaceRefusal {
    /// The creator has as many places as allowed.
    #[error("a creator can have at most 100 pickup places: archive one first")]
    TooManyPickupPlaces,
}

/// The fields of a place.
const FIELDS: &[&str] = &["name", "address", "hours", "note"];

/// Creates a pickup place.
pub async fn create(
    db: &Db,
    scope: &CreatorScope,
    request: CreatePickupPlace,
) -> Result<PickupPlace, OpError<CreatePickupPlaceRefusal>> {
    in_tx(db, scope, async |tx| {
        let creator = creators::lock(tx, scope).await?;
        if place_row::count_open(tx.conn(), scope).await? >= PICKUP_PLACES_MAX {
            return Err(OpError::refuse(CreatePickupPlaceRefusal::TooManyPickupPlaces));
        }
        let id: PickupPlaceId = tx.new_id();
        let row = ActiveModel {
            id: Set(id),
            creator_id: Set(creator.id),
            name: Set(request.name.into_string()),
            line1: Set(request.line1.into_string()),
            line2: Set(request.line2.map(Street::into_string)),
            postal_code: Set(request.postal_code.map(PostalCode::into_string)),
            city: Set(request.city.into_string()),
            country: Set(request.country),
            hours: Set(request.hours.map(OpeningHours::into_string)),
            note: Set(request.note.map(PickupNote::into_string)),
            version: Set(1),
            created_at: Set(tx.now()),
            updated_at: Set(tx.now()),
            archived_at: Set(None),
        };
        let place = row.insert(tx.conn()).await?;
        outbox::publish(tx, creator.version, &Fact::CreatorChanged { creator: creator.id }).await?;
        audit::record(tx, "pickup_place.create", id, FIELDS).await?;
        Ok(place)
    })
    .await
}
