//! Creates a drop as a draft.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use super::{
    drop_row::{ActiveModel, Model as Drop},
    gate,
    offered_place::{self, PlaceComplaint},
    state::DropState,
    terms::{Balance, Deposit},
};
use crate::{
    catalog::{ProductTitle, Summary},
    creators,
    platform::{
        Days, Db, EntityId, OpError, Seconds, Units,
        access::CreatorScope,
        audit,
        facts::Fact,
        ids::{DropId, PickupPlaceId},
        in_tx, outbox,
        slugs::{self, Slug, SlugKind},
        tags::{self, Tag, TagKind},
        text::Markdown,
    },
};

/// A request to create a drop. The drop's currency is the creator's.
#[derive(Debug, Clone)]
pub struct CreateDrop {
    /// The slug; if `None`, it is derived from the title.
    pub slug: Option<Slug>,
    /// The series that the drop belongs to, if it is one run of several.
    pub series: Option<Slug>,
    /// The title.
    pub title: ProductTitle,
    /// A summary of one or two sentences.
    pub summary: Option<Summary>,
    /// The description; may be empty.
    pub description: Markdown,
    /// The tags that the drop can be found by.
    pub tags: Vec<Tag>,
    /// The start of the window `[opens_at, closes_at)`.
    pub opens_at: DateTime<Utc>,
    /// The end of the window `[opens_at, closes_at)`.
    pub closes_at: DateTime<Utc>,
    /// How long a hold lasts.
    pub hold_secs: Seconds,
    /// The most units, of all items together, that one person may have; `None` if only the items have limits.
    pub per_buyer_max: Option<Units>,
    /// The minimum run: the units, of all items together, that must be paid for, or the run is not made.
    /// `None` if the run is made in any case.
    pub minimum_units: Option<Units>,
    /// The deposit, which is due at reservation.
    pub deposit: Deposit,
    /// When the balance is due.
    pub balance: Balance,
    /// The days from the end of the window to shipping.
    pub lead_time_days: Days,
    /// Whether buyers may pick up their goods.
    pub pickup: bool,
    /// The pickup places, in order. A drop that offers pickup needs one before it is published.
    pub pickup_places: Vec<PickupPlaceId>,
    /// Whether goods can be shipped.
    pub shipping: bool,
}

/// The reasons to refuse to create a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateDropRefusal {
    /// Another drop of the creator has or had this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// The request has no slug, and none can be derived from the title.
    #[error("no slug can be derived from this title: choose one")]
    SlugNeeded,
    /// The window closes before it opens.
    #[error("the window must close after it opens")]
    WindowEmpty,
    /// The creator has no such pickup place, or it is archived.
    #[error("there is no such pickup place, or it is archived")]
    PickupPlaceNotFound,
    /// There are more than [`DROP_PLACES_MAX`](super::DROP_PLACES_MAX) pickup places.
    #[error("a drop can have at most 20 pickup places")]
    TooManyPickupPlaces,
}

impl From<PlaceComplaint> for CreateDropRefusal {
    fn from(complaint: PlaceComplaint) -> Self {
        match complaint {
            PlaceComplaint::NotFound => Self::PickupPlaceNotFound,
            PlaceComplaint::TooMany => Self::TooManyPickupPlaces,
        }
    }
}

const FIELDS: &[&str] = &[
    "slug",
    "title",
    "description",
    "tags",
    "window",
    "hold",
    "limit",
    "minimum_run",
    "deposit",
    "balance",
    "lead_time",
    "delivery",
    "pickup_places",
];

/// Creates a draft. Whether it is complete is checked when it is published.
pub async fn create(
    db: &Db,
    scope: &CreatorScope,
    request: CreateDrop,
) -> Result<Drop, OpError<CreateDropRefusal>> {
    let slug = request.slug.or_else(|| Slug::from_title(request.title.as_str()));
    let slug = slug.ok_or_else(|| OpError::refuse_field(CreateDropRefusal::SlugNeeded, "slug"))?;
    if request.opens_at >= request.closes_at {
        return Err(OpError::refuse_field(CreateDropRefusal::WindowEmpty, "closesAt"));
    }
    in_tx(db, scope, async |tx| {
        let creator = creators::hold(tx, scope).await?;
        let places = request.pickup_places;
        let complaints = offered_place::complaints(tx, scope, &[], &places, CreateDropRefusal::from).await?;
        OpError::refuse_if_any(complaints)?;
        let id: DropId = tx.new_id();
        if !slugs::take(tx, SlugKind::Drop, creator.id.uuid(), &slug, id.uuid()).await? {
            return Err(OpError::refuse_field(CreateDropRefusal::SlugTaken, "slug"));
        }
        let (deposit_kind, deposit_value) = request.deposit.stored();
        let (balance_kind, balance_due_on) = request.balance.stored();
        let row = ActiveModel {
            id: Set(id),
            creator_id: Set(creator.id),
            slug: Set(slug.as_str().to_owned()),
            series: Set(request.series.map(|series| series.as_str().to_owned())),
            title: Set(request.title.into_string()),
            summary: Set(request.summary.map(Summary::into_string).unwrap_or_default()),
            description_markdown: Set(request.description.source().to_owned()),
            description_html: Set(request.description.html().to_owned()),
            state: Set(DropState::Draft),
            opens_at: Set(request.opens_at),
            closes_at: Set(request.closes_at),
            hold_secs: Set(request.hold_secs),
            minimum_units: Set(request.minimum_units),
            per_buyer_max: Set(request.per_buyer_max),
            currency: Set(creator.currency),
            deposit_kind: Set(deposit_kind),
            deposit_value: Set(deposit_value),
            balance_kind: Set(balance_kind),
            balance_due_on: Set(balance_due_on),
            lead_time_days: Set(request.lead_time_days),
            pickup: Set(request.pickup),
            shipping: Set(request.shipping),
            price_min_minor: Set(0),
            version: Set(1),
            created_at: Set(tx.now()),
            updated_at: Set(tx.now()),
            published_at: Set(None),
            first_held_at: Set(None),
        };
        let drop = row.insert(tx.conn()).await?;
        gate::build(tx, id).await?;
        offered_place::set(tx, id, &places).await?;
        tags::set(tx, TagKind::Drop, id, &request.tags).await?;
        outbox::publish(tx, drop.version, &Fact::DropChanged { creator: creator.id, drop: id }).await?;
        audit::record(tx, "drop.create", id, FIELDS).await?;
        Ok(drop)
    })
    .await
}
