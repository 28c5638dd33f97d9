//! To open a creator: the account that does becomes its owner.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use uuid::Uuid;

use super::{Creator, CreatorName, Place, Tagline, creator::ActiveModel};
use crate::accounts::member::{self, MEMBERSHIPS_MAX};
use crate::platform::{
    Country, Currency, Db, EntityId, OpError, TimeZone, Tx,
    access::{AccountScope, MemberRole},
    audit,
    facts::Fact,
    ids::{AccountId, CreatorId},
    in_tx, outbox,
    slugs::{self, Slug, SlugKind},
    text::Markdown,
};

/// A creator to be opened.
#[derive(Debug, Clone)]
pub struct CreateCreator {
    /// `None` makes one of the name.
    pub slug: Option<Slug>,
    /// Its name.
    pub name: CreatorName,
    /// What it does.
    pub tagline: Option<Tagline>,
    /// Where.
    pub place: Option<Place>,
    /// In which country: taxes of fetched goods are that country's.
    pub country: Country,
    /// In which time zone.
    pub time_zone: TimeZone,
    /// Of all its prices.
    pub currency: Currency,
    /// Whether its prices are gross.
    pub prices_include_tax: bool,
    /// Its story; may be empty.
    pub story: Markdown,
}

/// Why a creator is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateCreatorRefusal {
    /// Another creator has, or once had, this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// No slug was given, and none can be made of the name.
    #[error("give a slug: none can be made of this name")]
    SlugNeeded,
    /// The account has as many creators as it may have.
    #[error("an account can be a member of at most 20 creators")]
    TooManyCreators,
}

const FIELDS: &[&str] =
    &["slug", "name", "tagline", "place", "country", "time_zone", "currency", "prices_include_tax", "story"];

/// Opens a creator, owned by the account that asks.
pub async fn create(
    db: &Db,
    scope: &AccountScope,
    request: CreateCreator,
) -> Result<Creator, OpError<CreateCreatorRefusal>> {
    in_tx(db, scope.actor(), async |tx| create_in(tx, Some(scope.account()), request).await).await
}

/// The same within a transaction, with or without an owner.
pub(super) async fn create_in(
    tx: &Tx,
    owner: Option<AccountId>,
    request: CreateCreator,
) -> Result<Creator, OpError<CreateCreatorRefusal>> {
    let slug = request.slug.or_else(|| Slug::from_title(request.name.as_str()));
    let slug = slug.ok_or_else(|| OpError::refuse_field(CreateCreatorRefusal::SlugNeeded, "slug"))?;
    let id: CreatorId = tx.new_id();
    // The slug's row is the lock: two creators of one name meet here.
    if !slugs::take(tx, SlugKind::Creator, Uuid::nil(), &slug, id.uuid()).await? {
        return Err(OpError::refuse_field(CreateCreatorRefusal::SlugTaken, "slug"));
    }
    if let Some(account) = owner {
        // Requests of the same moment may pass together: the bound protects the size of a request's work, no
        // right.
        if member::count_of_account(tx.conn(), account).await? >= MEMBERSHIPS_MAX {
            return Err(OpError::refuse(CreateCreatorRefusal::TooManyCreators));
        }
    }
    let row = ActiveModel {
        id: Set(id),
        slug: Set(slug.as_str().to_owned()),
        name: Set(request.name.into_string()),
        tagline: Set(request.tagline.map(Tagline::into_string).unwrap_or_default()),
        place: Set(request.place.map(Place::into_string).unwrap_or_default()),
        country: Set(request.country),
        time_zone: Set(request.time_zone),
        currency: Set(request.currency),
        prices_include_tax: Set(request.prices_include_tax),
        story_markdown: Set(request.story.source().to_owned()),
        story_html: Set(request.story.html().to_owned()),
        version: Set(1),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    let creator = row.insert(tx.conn()).await?;
    if let Some(account) = owner {
        member::add(tx, id, account, MemberRole::Owner).await?;
    }
    outbox::publish(tx, creator.version, &Fact::CreatorChanged { creator: id }).await?;
    audit::record(tx, "creator.create", id, FIELDS).await?;
    Ok(creator)
}
