//! Queries of drops: lists, look-ups by id and slug, items and stock.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ColumnTrait, Condition, DbErr, QueryFilter, Select, sea_query::SelectStatement};

use super::{
    drop_row::{self, Column as C, Entity, Model as Drop},
    gate,
    item_row::{self, Model as DropItem},
    offered_place,
    state::{DropPhase, DropState},
    terms::{CLOSING_SOON_HOURS, Tier},
};
use crate::{
    catalog::Sight,
    creators::pickup_places::{PickupPlace, place_row},
    platform::{
        Currency, Db, EntityId,
        ids::{CreatorId, DropId, DropItemId, PickupPlaceId},
        page::{Page, Slice, SortKey, SortValue, count_capped, slice},
        slugs::{self, SlugKind},
        tags::{self, Tag, TagKind},
    },
};

/// A set of drops, as a subquery of their ids. With it, another capability can filter drops by what it knows
/// about them.
#[derive(Debug, Clone)]
pub struct DropSet(pub(crate) SelectStatement);

/// A filter on drops.
#[derive(Debug, Clone, Default)]
pub struct DropFilter {
    /// Drops of this creator.
    pub creator: Option<CreatorId>,
    /// Drops with this tag.
    pub tag: Option<Tag>,
    /// Drops in one of these phases; `None` means all except drafts and cancelled drops.
    pub phases: Option<Vec<DropPhase>>,
    /// Open drops that close within [`CLOSING_SOON_HOURS`].
    pub closing_soon: bool,
    /// Open drops in this set, such as the result of
    /// [`with_units_left`](crate::reservations::claims::with_units_left).
    pub available: Option<DropSet>,
    /// Drops with a lowest price at or above this, in minor units of [`DropFilter::currency`].
    pub price_min_minor: Option<i64>,
    /// Drops with a lowest price at or below this, in minor units of [`DropFilter::currency`].
    pub price_max_minor: Option<i64>,
    /// Drops with prices in this currency.
    pub currency: Option<Currency>,
}

/// The order in which drops are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DropSort {
    /// Newest first.
    #[default]
    Newest,
    /// By the opening of the window, earliest first.
    OpensSoonest,
    /// By the end of the window, earliest first.
    ClosesSoonest,
    /// By the lowest price of a unit, ascending. Only meaningful within one currency.
    PriceAscending,
    /// By the lowest price of a unit, descending. Only meaningful within one currency.
    PriceDescending,
}

impl DropSort {
    /// Returns the sort key of a drop in this order.
    pub fn key(self, drop: &Drop) -> SortKey {
        let value = match self {
            Self::Newest => SortValue::Time(drop.created_at),
            Self::OpensSoonest => SortValue::Time(drop.opens_at),
            Self::ClosesSoonest => SortValue::Time(drop.closes_at),
            Self::PriceAscending | Self::PriceDescending => SortValue::Int(drop.price_min_minor),
        };
        SortKey::new(value, drop.id)
    }
}

fn phase_condition(phase: DropPhase, now: DateTime<Utc>) -> Condition {
    let published = Condition::all().add(C::State.eq(DropState::Published));
    match phase {
        DropPhase::Draft => Condition::all().add(C::State.eq(DropState::Draft)),
        DropPhase::Scheduled => published.add(C::OpensAt.gt(now)),
        DropPhase::Open => published.add(C::OpensAt.lte(now)).add(C::ClosesAt.gt(now)),
        DropPhase::Closed => published.add(C::ClosesAt.lte(now)),
        DropPhase::Cancelled => Condition::all().add(C::State.eq(DropState::Cancelled)),
    }
}

fn seen(sight: &Sight) -> Select<Entity> {
    drop_row::all().filter(sight.condition(C::CreatorId, Condition::all().add(C::PublishedAt.is_not_null())))
}

fn filtered(sight: &Sight, filter: &DropFilter, now: DateTime<Utc>) -> Select<Entity> {
    let mut select = seen(sight);
    if let Some(creator) = filter.creator {
        select = select.filter(C::CreatorId.eq(creator));
    }
    if let Some(tag) = &filter.tag {
        select = select.filter(C::Id.in_subquery(tags::tagged(TagKind::Drop, tag)));
    }
    let phases = filter
        .phases
        .clone()
        .unwrap_or_else(|| vec![DropPhase::Scheduled, DropPhase::Open, DropPhase::Closed]);
    select = select
        .filter(phases.into_iter().fold(Condition::any(), |any, phase| any.add(phase_condition(phase, now))));
    if filter.closing_soon {
        let soon = now.checked_add_signed(TimeDelta::hours(CLOSING_SOON_HOURS)).unwrap_or(now);
        select = select.filter(phase_condition(DropPhase::Open, now)).filter(C::ClosesAt.lte(soon));
    }
    if let Some(DropSet(drops)) = &filter.available {
        select =
            select.filter(phase_condition(DropPhase::Open, now)).filter(C::Id.in_subquery(drops.clone()));
    }
    if let Some(price) = filter.price_min_minor {
        select = select.filter(C::PriceMinMinor.gte(price));
    }
    if let Some(price) = filter.price_max_minor {
        select = select.filter(C::PriceMinMinor.lte(price));
    }
    if let Some(currency) = filter.currency {
        select = select.filter(C::Currency.eq(currency));
    }
    select
}

/// Lists a page of drops, with one statement.
pub async fn list(
    db: &Db,
    sight: &Sight,
    filter: &DropFilter,
    sort: DropSort,
    page: &Page,
) -> Result<Slice<Drop>, DbErr> {
    let (column, descending) = match sort {
        DropSort::Newest => (C::CreatedAt, true),
        DropSort::OpensSoonest => (C::OpensAt, false),
        DropSort::ClosesSoonest => (C::ClosesAt, false),
        DropSort::PriceAscending => (C::PriceMinMinor, false),
        DropSort::PriceDescending => (C::PriceMinMinor, true),
    };
    slice(db.reader(), filtered(sight, filter, db.now()), (column, C::Id), descending, page, |drop| {
        sort.key(drop)
    })
    .await
}

/// Counts the drops that a filter matches, up to the cap.
pub async fn count(db: &Db, sight: &Sight, filter: &DropFilter) -> Result<u64, DbErr> {
    count_capped(db.reader(), filtered(sight, filter, db.now())).await
}

/// Returns the drop that a present or past slug of a creator leads to.
pub async fn by_slug(db: &Db, sight: &Sight, creator: CreatorId, slug: &str) -> Result<Option<Drop>, DbErr> {
    let Some(id) = slugs::find(db.reader(), SlugKind::Drop, creator.uuid(), slug).await? else {
        return Ok(None);
    };
    seen(sight).filter(C::Id.eq(id)).one(db.reader()).await
}

/// Returns the visible drops by id, with one statement.
pub async fn by_ids(db: &Db, sight: &Sight, ids: &[DropId]) -> Result<HashMap<DropId, Drop>, DbErr> {
    let rows = seen(sight).filter(C::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns whether the viewer may see a drop.
pub fn is_seen(sight: &Sight, drop: &Drop) -> bool {
    let of_shop = sight.public_scope().creator().is_none_or(|creator| creator == drop.creator_id);
    sight.sees_hidden_of(drop.creator_id) || (of_shop && drop.is_announced())
}

/// Returns the drops that reservations in the caller's scope refer to, in any state, with one statement.
pub async fn referred(db: &Db, ids: &[DropId]) -> Result<HashMap<DropId, Drop>, DbErr> {
    Ok(drop_row::by_ids(db.reader(), ids).await?.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns the items of drops, in order, with one statement. The caller must have checked that the viewer may
/// see the drops.
pub async fn items_of(db: &Db, drops: &[DropId]) -> Result<HashMap<DropId, Vec<DropItem>>, DbErr> {
    let mut items: HashMap<DropId, Vec<DropItem>> = HashMap::new();
    for row in item_row::of_drops(db.reader(), drops).await? {
        items.entry(row.drop_id).or_default().push(row);
    }
    Ok(items)
}

/// Returns items by id, with one statement. The items must belong to drops that the viewer may see, or that
/// the caller's reservations refer to.
pub async fn items_by_ids(db: &Db, ids: &[DropItemId]) -> Result<HashMap<DropItemId, DropItem>, DbErr> {
    Ok(item_row::by_ids(db.reader(), ids).await?.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns the price tiers of items, in order, with one statement.
pub async fn tiers_of(db: &Db, items: &[DropItemId]) -> Result<HashMap<DropItemId, Vec<Tier>>, DbErr> {
    item_row::tiers_of(db.reader(), items).await
}

/// Returns the versions of drops' gates, with one statement. Every change of the held or paid units
/// increments the version.
pub async fn stock_versions(db: &Db, drops: &[DropId]) -> Result<Vec<(DropId, i64)>, DbErr> {
    gate::versions_of(db.reader(), drops).await
}

/// Returns the slugs of a creator's drops in one series.
pub async fn series_slugs(db: &Db, creator: CreatorId, series: &str) -> Result<Vec<String>, DbErr> {
    drop_row::series_slugs(db.reader(), creator, series).await
}

/// Returns the pickup places of drops, in order, with one statement. The caller must have checked that the
/// viewer may see the drops.
pub async fn pickup_places_of(db: &Db, drops: &[DropId]) -> Result<HashMap<DropId, Vec<PickupPlace>>, DbErr> {
    offered_place::of_drops(db.reader(), drops).await
}

/// Returns the visible pickup places by id, with one statement: the viewer's own, and those that announced
/// drops offer.
pub async fn pickup_places_by_ids(
    db: &Db,
    sight: &Sight,
    ids: &[PickupPlaceId],
) -> Result<HashMap<PickupPlaceId, PickupPlace>, DbErr> {
    use place_row::Column as P;
    let announced = Condition::all().add(P::Id.in_subquery(offered_place::announced()));
    let seen = place_row::all().filter(sight.condition(P::CreatorId, announced));
    let rows = seen.filter(P::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}
