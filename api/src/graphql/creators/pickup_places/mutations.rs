//! Mutations that create, change and archive pickup places.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object};
use domain::{
    creators::pickup_places::{
        self as rules, ArchivePickupPlaceRefusal, CreatePickupPlace, CreatePickupPlaceRefusal,
        UpdatePickupPlace, UpdatePickupPlaceRefusal,
    },
    platform::{
        access::{CreatorScope, Permission},
        ids::{CreatorId, PickupPlaceId},
        text::TextLine,
    },
};

use super::{PickupPlace, ReferredPickupPlace};
use crate::graphql::{
    context::ContextExt,
    input::{Form, Parsed, id_at, line_or_none, parsed},
    payload::{MutationStop, answer, payload},
    user_error::{ErrorCode, user_error},
};

/// A new pickup place.
#[derive(InputObject)]
pub struct PickupPlaceCreateInput {
    /// The global id of the creator.
    pub creator_id: ID,
    /// The name, at most {PICKUP_NAME_CHARS} characters. Everybody sees it.
    pub name: String,
    /// The street and number, at most {STREET_CHARS} characters.
    pub line1: String,
    /// A second address line, at most {STREET_CHARS} characters.
    pub line2: Option<String>,
    /// The postal code in the format of the country, at most {POSTAL_CODE_CHARS} characters.
    pub postal_code: Option<String>,
    /// The town, at most {CITY_CHARS} characters. Everybody sees it.
    pub city: String,
    /// The country as a code of ISO 3166-1 alpha-2, such as `PT`. Its tax applies to units that are picked up
    /// here, so it cannot change.
    pub country: String,
    /// The opening hours, in words of at most {HOURS_CHARS} characters.
    pub hours: Option<String>,
    /// A note for those who come, at most {PICKUP_NOTE_CHARS} characters.
    pub note: Option<String>,
}

/// The changes to a pickup place. Fields that are left out stay as they are. The country cannot change:
/// create another place instead.
#[derive(InputObject)]
pub struct PickupPlaceUpdateInput {
    /// The global id of the place.
    pub id: ID,
    /// The `version` that you last read. If the place has changed since, nothing is changed and the error is
    /// `CONFLICT`.
    pub version: Option<i64>,
    /// The name, at most {PICKUP_NAME_CHARS} characters. Everybody sees it.
    pub name: Option<String>,
    /// The street and number, at most {STREET_CHARS} characters.
    pub line1: Option<String>,
    /// A second address line, at most {STREET_CHARS} characters. Null removes it.
    pub line2: MaybeUndefined<String>,
    /// The postal code, at most {POSTAL_CODE_CHARS} characters. Null removes it.
    pub postal_code: MaybeUndefined<String>,
    /// The town, at most {CITY_CHARS} characters. Everybody sees it.
    pub city: Option<String>,
    /// The opening hours, in words of at most {HOURS_CHARS} characters. Null removes them.
    pub hours: MaybeUndefined<String>,
    /// A note for those who come, at most {PICKUP_NOTE_CHARS} characters. Null removes it.
    pub note: MaybeUndefined<String>,
}

/// The pickup place to archive.
#[derive(InputObject)]
pub struct PickupPlaceArchiveInput {
    /// The global id of the place.
    pub id: ID,
}

user_error!(
    PickupPlaceCreateError,
    PickupPlaceCreateErrorCode,
    CreatePickupPlaceRefusal {
        TooManyPickupPlaces: "The creator has {PICKUP_PLACES} pickup places already. Archive one first.",
    }
);
user_error!(PickupPlaceUpdateError, PickupPlaceUpdateErrorCode, UpdatePickupPlaceRefusal {
    Conflict: "The place has changed since the version in the input. Read it again.",
} not_found: NotFound);
user_error!(
    PickupPlaceArchiveError,
    PickupPlaceArchiveErrorCode,
    ArchivePickupPlaceRefusal {} not_found: NotFound
);
payload!(
    PickupPlaceCreatePayload,
    PickupPlaceCreateError {
        /// The new place.
        pickup_place: PickupPlace,
    }
);
payload!(
    PickupPlaceUpdatePayload,
    PickupPlaceUpdateError {
        /// The place after the change.
        pickup_place: PickupPlace,
    }
);
payload!(
    PickupPlaceArchivePayload,
    PickupPlaceArchiveError {
        /// The archived place.
        pickup_place: PickupPlace,
    }
);

/// Returns the place's id and the scope in which it may be changed. An unknown place and another tenant's
/// place give the same error.
async fn scope_of_place<C: ErrorCode>(
    ctx: &Context<'_>,
    id: &ID,
) -> Result<(CreatorScope, PickupPlaceId), MutationStop<C>> {
    let id = id_at("id", id)?;
    let row = ctx.load(ReferredPickupPlace(id)).await?;
    Ok((ctx.manage(row.map(|row| row.creator_id), Permission::ProfileWrite, "id")?, id))
}

/// The mutations of pickup places.
#[derive(Default)]
pub struct PickupPlacesMutation;

#[Object]
impl PickupPlacesMutation {
    /// Creates a pickup place. For the creator's members, and for its secret tokens with `PROFILE_WRITE`.
    async fn pickup_place_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new place.")] input: PickupPlaceCreateInput,
    ) -> async_graphql::Result<PickupPlaceCreatePayload> {
        answer(async {
            let creator = id_at::<CreatorId>("creatorId", &input.creator_id)?;
            let scope = ctx.manage(creator, Permission::ProfileWrite, "creatorId")?;
            let mut form = Form::new();
            let request = parsed!(CreatePickupPlace {
                name: form.field("name", TextLine::new(&input.name)),
                line1: form.field("line1", TextLine::new(&input.line1)),
                line2: line(&mut form, "line2", input.line2.as_deref()),
                postal_code: line(&mut form, "postalCode", input.postal_code.as_deref()),
                city: form.field("city", TextLine::new(&input.city)),
                country: form.field("country", input.country.parse()),
                hours: line(&mut form, "hours", input.hours.as_deref()),
                note: line(&mut form, "note", input.note.as_deref()),
            });
            let place = rules::create(ctx.db(), &scope, form.finish(request)?).await?;
            Ok(PickupPlaceCreatePayload::done(PickupPlace(place)))
        })
        .await
    }

    /// Changes a pickup place. Buyers who have paid see the change. For the creator's members, and for its
    /// secret tokens with `PROFILE_WRITE`.
    async fn pickup_place_update(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: PickupPlaceUpdateInput,
    ) -> async_graphql::Result<PickupPlaceUpdatePayload> {
        answer(async {
            let (scope, id) = scope_of_place(ctx, &input.id).await?;
            let mut form = Form::new();
            let request = parsed!(UpdatePickupPlace {
                version: Ok(input.version),
                name: form.optional("name", input.name.as_deref().map(TextLine::new)),
                line1: form.optional("line1", input.line1.as_deref().map(TextLine::new)),
                line2: form.change("line2", input.line2, |text| line_or_none(&text)),
                postal_code: form.change("postalCode", input.postal_code, |text| line_or_none(&text)),
                city: form.optional("city", input.city.as_deref().map(TextLine::new)),
                hours: form.change("hours", input.hours, |text| line_or_none(&text)),
                note: form.change("note", input.note, |text| line_or_none(&text)),
            });
            let place = rules::update(ctx.db(), &scope, id, form.finish(request)?).await?;
            Ok(PickupPlaceUpdatePayload::done(PickupPlace(place)))
        })
        .await
    }

    /// Archives a pickup place: no further drop can offer it. Published drops that offer it continue to. For
    /// the creator's members, and for its secret tokens with `PROFILE_WRITE`.
    async fn pickup_place_archive(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The place to archive.")] input: PickupPlaceArchiveInput,
    ) -> async_graphql::Result<PickupPlaceArchivePayload> {
        answer(async {
            let (scope, id) = scope_of_place(ctx, &input.id).await?;
            let place = rules::archive(ctx.db(), &scope, id).await?;
            Ok(PickupPlaceArchivePayload::done(PickupPlace(place)))
        })
        .await
    }
}

/// Reads an optional line. An empty text counts as none.
fn line<const MAX: usize>(form: &mut Form, name: &str, text: Option<&str>) -> Parsed<Option<TextLine<MAX>>> {
    form.optional(name, text.map(line_or_none)).map(Option::flatten)
}
