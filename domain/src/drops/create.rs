//! To draft a drop.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set};

use super::{
    drop_row::{ActiveModel, Model as Drop},
    gate,
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
        ids::DropId,
        in_tx, outbox,
        slugs::{self, Slug, SlugKind},
        tags::{self, Tag, TagKind},
        text::Markdown,
    },
};

/// A drop to be drafted. Its currency is the creator's.
#[derive(Debug, Clone)]
pub struct CreateDrop {
    /// `None` makes one of the title.
    pub slug: Option<Slug>,
    /// The series that this run belongs to, if it is one of several.
    pub series: Option<Slug>,
    /// Its title.
    pub title: ProductTitle,
    /// In one or two sentences.
    pub summary: Option<Summary>,
    /// What it is; may be empty.
    pub description: Markdown,
    /// By which it is found.
    pub tags: Vec<Tag>,
    /// The window, `[opens_at, closes_at)`.
    pub opens_at: DateTime<Utc>,
    /// The window, `[opens_at, closes_at)`.
    pub closes_at: DateTime<Utc>,
    /// How long a hold lasts.
    pub hold_secs: Seconds,
    /// How many units of all items together one person may have; `None` is as many as the items allow.
    pub per_buyer_max: Option<Units>,
    /// So many units of all items together must be paid for, or the run is not made; `None` is made whatever
    /// comes.
    pub minimum_units: Option<Units>,
    /// What is due now.
    pub deposit: Deposit,
    /// When the rest is due.
    pub balance: Balance,
    /// Days from the end of the window to shipping.
    pub lead_time_days: Days,
    /// Whether lines may be fetched.
    pub pickup: bool,
    /// Whether lines may be sent.
    pub shipping: bool,
}

/// Why a drop is not drafted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateDropRefusal {
    /// Another drop of the creator has, or once had, this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// No slug was given, and none can be made of the title.
    #[error("give a slug: none can be made of this title")]
    SlugNeeded,
    /// The window ends before it begins.
    #[error("the window must close after it opens")]
    WindowEmpty,
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
];

/// Drafts a drop. What it lacks is told when it is published.
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
        tags::set(tx, TagKind::Drop, id, &request.tags).await?;
        outbox::publish(tx, drop.version, &Fact::DropChanged { creator: creator.id, drop: id }).await?;
        audit::record(tx, "drop.create", id, FIELDS).await?;
        Ok(drop)
    })
    .await
}
