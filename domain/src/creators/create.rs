//! Creates a creator, owned by the requesting account.

use sea_orm::{ActiveModelTrait, ActiveValue::Set};
use uuid::Uuid;

use super::{Creator, CreatorName, CreatorPlace, Tagline, creator::ActiveModel};
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

/// A request to create a creator.
#[derive(Debug, Clone)]
pub struct CreateCreator {
    /// The slug; if `None`, it is derived from the name.
    pub slug: Option<Slug>,
    /// The creator's name.
    pub name: CreatorName,
    /// What the creator does, in one line.
    pub tagline: Option<Tagline>,
    /// The town or region.
    pub place: Option<CreatorPlace>,
    /// The country. Its taxes apply to goods that buyers pick up.
    pub country: Country,
    /// The time zone.
    pub time_zone: TimeZone,
    /// The currency of all its prices.
    pub currency: Currency,
    /// Whether its prices include tax.
    pub prices_include_tax: bool,
    /// The creator's story; may be empty.
    pub story: Markdown,
}

/// The reasons to refuse to create a creator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateCreatorRefusal {
    /// Another creator has or had this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// The request has no slug, and none can be derived from the name.
    #[error("no slug can be derived from this name: choose one")]
    SlugNeeded,
    /// The account is a member of as many creators as allowed.
    #[error("an account can be a member of at most 20 creators")]
    TooManyCreators,
}

const FIELDS: &[&str] =
    &["slug", "name", "tagline", "place", "country", "time_zone", "currency", "prices_include_tax", "story"];

/// Creates a creator that the requesting account owns.
pub async fn create(
    db: &Db,
    scope: &AccountScope,
    request: CreateCreator,
) -> Result<Creator, OpError<CreateCreatorRefusal>> {
    in_tx(db, scope.actor(), async |tx| create_in(tx, Some(scope.account()), request).await).await
}

/// Creates a creator within a transaction, with or without an owner.
pub(super) async fn create_in(
    tx: &Tx,
    owner: Option<AccountId>,
    request: CreateCreator,
) -> Result<Creator, OpError<CreateCreatorRefusal>> {
    let slug = request.slug.or_else(|| Slug::from_title(request.name.as_str()));
    let slug = slug.ok_or_else(|| OpError::refuse_field(CreateCreatorRefusal::SlugNeeded, "slug"))?;
    let id: CreatorId = tx.new_id();
    // The row of the slug is the lock: of two concurrent requests for a slug, one gets it.
    if !slugs::take(tx, SlugKind::Creator, Uuid::nil(), &slug, id.uuid()).await? {
        return Err(OpError::refuse_field(CreateCreatorRefusal::SlugTaken, "slug"));
    }
    if let Some(account) = owner {
        // Concurrent requests may both pass this check. That is acceptable: the limit bounds the work of a
        // request and grants no right.
        if member::count_of_account(tx.conn(), account).await? >= MEMBERSHIPS_MAX {
            return Err(OpError::refuse(CreateCreatorRefusal::TooManyCreators));
        }
    }
    let row = ActiveModel {
        id: Set(id),
        slug: Set(slug.as_str().to_owned()),
        name: Set(request.name.into_string()),
        tagline: Set(request.tagline.map(Tagline::into_string).unwrap_or_default()),
        place: Set(request.place.map(CreatorPlace::into_string).unwrap_or_default()),
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
