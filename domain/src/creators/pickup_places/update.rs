//! Changes a pickup place.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{
    OpeningHours, PickupNote, PickupPlace, PickupPlaceName,
    place_row::{self, ActiveModel},
};
use crate::{
    creators,
    platform::{
        Db, OpError,
        access::CreatorScope,
        address_lines::{City, PostalCode, Street},
        audit,
        facts::Fact,
        ids::PickupPlaceId,
        in_tx, outbox,
    },
};

/// A request to change a pickup place; `None` leaves a field unchanged. The country cannot change.
#[derive(Debug, Clone, Default)]
pub struct UpdatePickupPlace {
    /// The version that the change is based on; `None` accepts any version.
    pub version: Option<i64>,
    /// A new name.
    pub name: Option<PickupPlaceName>,
    /// A new street and number.
    pub line1: Option<Street>,
    /// A new second line; `Some(None)` removes it.
    pub line2: Option<Option<Street>>,
    /// A new postal code; `Some(None)` removes it.
    pub postal_code: Option<Option<PostalCode>>,
    /// A new city or town.
    pub city: Option<City>,
    /// New opening hours; `Some(None)` removes them.
    pub hours: Option<Option<OpeningHours>>,
    /// A new note; `Some(None)` removes it.
    pub note: Option<Option<PickupNote>>,
}

/// The reasons to refuse a change of a pickup place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdatePickupPlaceRefusal {
    /// The creator has no such place.
    #[error("not found")]
    NotFound,
    /// The place has been changed since that version.
    #[error("this was changed in the meantime: read it again")]
    Conflict,
}

/// Changes a pickup place, also one that drops offer or that is archived. Buyers who pick up there see the
/// change.
pub async fn update(
    db: &Db,
    scope: &CreatorScope,
    id: PickupPlaceId,
    request: UpdatePickupPlace,
) -> Result<PickupPlace, OpError<UpdatePickupPlaceRefusal>> {
    use UpdatePickupPlaceRefusal as R;
    in_tx(db, scope, async |tx| {
        let creator = creators::lock(tx, scope).await?;
        let row =
            place_row::lock(tx, scope, id).await?.ok_or_else(|| OpError::refuse_field(R::NotFound, "id"))?;
        // The lock has incremented the version.
        if request.version.is_some_and(|seen| seen.checked_add(1) != Some(row.version)) {
            return Err(OpError::refuse_field(R::Conflict, "version"));
        }
        let (changed, fields) = changed(row, request);
        let place = changed.update(tx.conn()).await?;
        outbox::publish(tx, creator.version, &Fact::CreatorChanged { creator: creator.id }).await?;
        audit::record(tx, "pickup_place.update", id, &fields).await?;
        Ok(place)
    })
    .await
}

/// Returns the changed row, and the names of the fields in the request.
fn changed(row: PickupPlace, request: UpdatePickupPlace) -> (ActiveModel, Vec<&'static str>) {
    let mut row = row.into_active_model();
    let mut fields = Vec::new();
    macro_rules! set {
        ($field:ident = $value:expr) => {
            if let Some(value) = $value {
                row.$field = Set(value);
                fields.push(stringify!($field));
            }
        };
    }
    set!(name = request.name.map(PickupPlaceName::into_string));
    set!(line1 = request.line1.map(Street::into_string));
    set!(line2 = request.line2.map(|line| line.map(Street::into_string)));
    set!(postal_code = request.postal_code.map(|code| code.map(PostalCode::into_string)));
    set!(city = request.city.map(City::into_string));
    set!(hours = request.hours.map(|hours| hours.map(OpeningHours::into_string)));
    set!(note = request.note.map(|note| note.map(PickupNote::into_string)));
    (row, fields)
}
