//! Changes a creator's profile.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};
use uuid::Uuid;

use super::{Creator, CreatorName, CreatorPlace, Tagline, creator};
use crate::platform::{
    Country, Currency, Db, EntityId, OpError, Refused, TimeZone, Tx,
    access::CreatorScope,
    audit,
    facts::Fact,
    in_tx, outbox,
    slugs::{self, Slug, SlugKind},
    text::Markdown,
};

/// A request to change a creator; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct UpdateCreator {
    /// The version that the change is based on; `None` accepts any version.
    pub version: Option<i64>,
    /// A new slug; the old one still leads to the creator.
    pub slug: Option<Slug>,
    /// A new name.
    pub name: Option<CreatorName>,
    /// A new tagline; `Some(None)` removes it.
    pub tagline: Option<Option<Tagline>>,
    /// A new place; `Some(None)` removes it.
    pub place: Option<Option<CreatorPlace>>,
    /// A new country.
    pub country: Option<Country>,
    /// A new time zone.
    pub time_zone: Option<TimeZone>,
    /// A new currency; allowed while there is no product and no drop.
    pub currency: Option<Currency>,
    /// Whether prices include tax.
    pub prices_include_tax: Option<bool>,
    /// A new story.
    pub story: Option<Markdown>,
}

/// The reasons to refuse a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateCreatorRefusal {
    /// The creator has been changed since that version.
    #[error("this was changed in the meantime: read it again")]
    Conflict,
    /// Another creator has or had this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// There are products or drops with prices in the current currency.
    #[error("the currency cannot change once there is a product or a drop")]
    CurrencyFixed,
}

/// Changes the profile of the scope's creator.
pub async fn update(
    db: &Db,
    scope: &CreatorScope,
    request: UpdateCreator,
) -> Result<Creator, OpError<UpdateCreatorRefusal>> {
    in_tx(db, scope, async |tx| {
        let row = creator::lock(tx, scope).await?;
        // The lock has incremented the version.
        if request.version.is_some_and(|seen| seen.checked_add(1) != Some(row.version)) {
            return Err(OpError::refuse_field(UpdateCreatorRefusal::Conflict, "version"));
        }
        OpError::refuse_if_any(complaints(tx, scope, &row, &request).await?)?;
        let (id, version) = (row.id, row.version);
        let (changed, fields) = apply(row, request);
        let creator = changed.update(tx.conn()).await?;
        outbox::publish(tx, version, &Fact::CreatorChanged { creator: id }).await?;
        audit::record(tx, "creator.update", id, &fields).await?;
        Ok(creator)
    })
    .await
}

async fn complaints(
    tx: &Tx,
    scope: &CreatorScope,
    row: &Creator,
    request: &UpdateCreator,
) -> Result<Vec<Refused<UpdateCreatorRefusal>>, sea_orm::DbErr> {
    let mut complaints = Vec::new();
    if let Some(slug) = &request.slug
        && !slugs::take(tx, SlugKind::Creator, Uuid::nil(), slug, row.id.uuid()).await?
    {
        complaints.push(Refused::field(UpdateCreatorRefusal::SlugTaken, "slug"));
    }
    if request.currency.is_some_and(|currency| currency != row.currency) {
        let priced = [SlugKind::Product, SlugKind::Drop];
        if slugs::any(tx.conn(), &priced, scope.creator().uuid()).await? {
            complaints.push(Refused::field(UpdateCreatorRefusal::CurrencyFixed, "currency"));
        }
    }
    Ok(complaints)
}

/// Returns the changed row, and the names of the fields in the request.
fn apply(row: Creator, request: UpdateCreator) -> (creator::ActiveModel, Vec<&'static str>) {
    let mut row = row.into_active_model();
    let mut fields = Vec::new();
    if let Some(slug) = request.slug {
        row.slug = Set(slug.as_str().to_owned());
        fields.push("slug");
    }
    if let Some(name) = request.name {
        row.name = Set(name.into_string());
        fields.push("name");
    }
    if let Some(tagline) = request.tagline {
        row.tagline = Set(tagline.map(Tagline::into_string).unwrap_or_default());
        fields.push("tagline");
    }
    if let Some(place) = request.place {
        row.place = Set(place.map(CreatorPlace::into_string).unwrap_or_default());
        fields.push("place");
    }
    if let Some(country) = request.country {
        row.country = Set(country);
        fields.push("country");
    }
    if let Some(time_zone) = request.time_zone {
        row.time_zone = Set(time_zone);
        fields.push("time_zone");
    }
    if let Some(currency) = request.currency {
        row.currency = Set(currency);
        fields.push("currency");
    }
    if let Some(included) = request.prices_include_tax {
        row.prices_include_tax = Set(included);
        fields.push("prices_include_tax");
    }
    if let Some(story) = request.story {
        row.story_markdown = Set(story.source().to_owned());
        row.story_html = Set(story.html().to_owned());
        fields.push("story");
    }
    (row, fields)
}
