//! Changes a drop. A draft can change freely; a published drop only within what was promised.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, IntoActiveModel};

use super::{
    drop_row::{self, Model as Drop},
    gate,
    offered_place::{self, PlaceComplaint},
    state::DropState,
    terms::{Balance, Deposit, is_short_enough},
};
use crate::{
    catalog::{ProductTitle, Summary},
    platform::{
        Days, Db, EntityId, Inconsistency, OpError, Refused, Seconds, Tx, Units,
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

/// A request to change a drop; `None` leaves a field unchanged.
#[derive(Debug, Clone, Default)]
pub struct UpdateDrop {
    /// The version that the change is based on. The change is refused if the drop has another version.
    pub version: Option<i64>,
    /// A new slug; the old one still leads to the drop.
    pub slug: Option<Slug>,
    /// A new title. Texts may change at any time.
    pub title: Option<ProductTitle>,
    /// A new summary. Texts may change at any time.
    pub summary: Option<Summary>,
    /// A new description. Texts may change at any time.
    pub description: Option<Markdown>,
    /// The new tags, which replace all old ones.
    pub tags: Option<Vec<Tag>>,
    /// The start of the window. After publication it can only become earlier, and only before the drop opens.
    pub opens_at: Option<DateTime<Utc>>,
    /// The end of the window. After publication it can only become later, and only before the window is over.
    pub closes_at: Option<DateTime<Utc>>,
    /// The duration of a hold. It cannot change after publication.
    pub hold_secs: Option<Seconds>,
    /// The limit per person; `Some(None)` removes it. It cannot change after publication.
    pub per_buyer_max: Option<Option<Units>>,
    /// The minimum run; `Some(None)` removes it. After publication it can only become lower.
    pub minimum_units: Option<Option<Units>>,
    /// The deposit. It cannot change after the first hold.
    pub deposit: Option<Deposit>,
    /// When the balance is due. This cannot change after the first hold.
    pub balance: Option<Balance>,
    /// The lead time. It cannot change after publication.
    pub lead_time_days: Option<Days>,
    /// Whether buyers may pick up their goods. This cannot change after publication.
    pub pickup: Option<bool>,
    /// The pickup places, which replace all old ones. After publication places can only be added.
    pub pickup_places: Option<Vec<PickupPlaceId>>,
    /// Whether goods can be shipped. This cannot change after publication.
    pub shipping: Option<bool>,
}

/// The reasons to refuse a change of a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateDropRefusal {
    /// The creator has no such drop.
    #[error("not found")]
    NotFound,
    /// The drop has been changed since that version.
    #[error("the drop was changed in the meantime: read it again")]
    Conflict,
    /// Another drop of the creator has or had this slug.
    #[error("this slug is taken")]
    SlugTaken,
    /// The window would close before it opens, or last too long.
    #[error("the window must close after it opens, within 31 days")]
    WindowInvalid,
    /// The window of a published drop can only become longer.
    #[error("the window of a published drop can only become longer, and only until it is over")]
    WindowShortened,
    /// The deposit terms cannot change after the first hold.
    #[error("deposit terms cannot change after the first reservation")]
    DepositFrozen,
    /// A fixed deposit exceeds the lowest price of an item.
    #[error("a fixed deposit can be at most the lowest price of a unit")]
    DepositAbovePrice,
    /// The deposit is nothing, or more than the whole price.
    #[error("the deposit must be more than 0 and at most 100 percent of the price")]
    DepositInvalid,
    /// The balance would be due before the window closes.
    #[error("the balance cannot be due before the window closes")]
    BalanceTooEarly,
    /// The minimum run is zero.
    #[error("the minimum run must be at least 1 unit")]
    MinimumOutOfRange,
    /// The drop was published, and this cannot change afterwards.
    #[error("this cannot change after the drop was published")]
    Frozen,
    /// The drop was cancelled.
    #[error("the drop was cancelled")]
    Cancelled,
    /// The creator has no such pickup place, or it is archived.
    #[error("there is no such pickup place, or it is archived")]
    PickupPlaceNotFound,
    /// There are more than [`DROP_PLACES_MAX`](super::DROP_PLACES_MAX) pickup places.
    #[error("a drop can have at most 20 pickup places")]
    TooManyPickupPlaces,
}

impl From<PlaceComplaint> for UpdateDropRefusal {
    fn from(complaint: PlaceComplaint) -> Self {
        match complaint {
            PlaceComplaint::NotFound => Self::PickupPlaceNotFound,
            PlaceComplaint::TooMany => Self::TooManyPickupPlaces,
        }
    }
}

/// Changes a drop. All complaints are returned at once.
pub async fn update(
    db: &Db,
    scope: &CreatorScope,
    id: DropId,
    request: UpdateDrop,
) -> Result<Drop, OpError<UpdateDropRefusal>> {
    in_tx(db, scope, async |tx| {
        let unknown = || OpError::refuse_field(UpdateDropRefusal::NotFound, "id");
        let (_gates, drop) = gate::take_own(tx, scope, id).await?.ok_or_else(unknown)?;
        let now = tx.decision_now().await?;
        if request.version.is_some_and(|seen| seen.checked_add(1) != Some(drop.version)) {
            return Err(OpError::refuse_field(UpdateDropRefusal::Conflict, "version"));
        }
        let mut complaints = complaints(&drop, &request, now)?;
        if let Some(places) = &request.pickup_places {
            complaints.extend(place_complaints(tx, scope, &drop, places).await?);
        }
        OpError::refuse_if_any(complaints)?;
        if let Some(slug) = &request.slug
            && !slugs::take(tx, SlugKind::Drop, drop.creator_id.uuid(), slug, id.uuid()).await?
        {
            return Err(OpError::refuse_field(UpdateDropRefusal::SlugTaken, "slug"));
        }
        if let Some(tags) = &request.tags {
            tags::set(tx, TagKind::Drop, id, tags).await?;
        }
        if let Some(places) = &request.pickup_places {
            offered_place::set(tx, id, places).await?;
        }
        let creator = drop.creator_id;
        let (changed, fields) = changed(drop, request);
        let drop = changed.update(tx.conn()).await?;
        outbox::publish(tx, drop.version, &Fact::DropChanged { creator, drop: id }).await?;
        audit::record(tx, "drop.update", id, &fields).await?;
        Ok(drop)
    })
    .await
}

/// Returns the complaints about a change.
fn complaints(
    drop: &Drop,
    request: &UpdateDrop,
    now: DateTime<Utc>,
) -> Result<Vec<Refused<UpdateDropRefusal>>, Inconsistency> {
    use UpdateDropRefusal as R;
    if drop.state == DropState::Cancelled {
        return Ok(vec![Refused::whole(R::Cancelled)]);
    }
    let mut complaints = Vec::new();
    let (opens_at, closes_at) =
        (request.opens_at.unwrap_or(drop.opens_at), request.closes_at.unwrap_or(drop.closes_at));
    if opens_at >= closes_at || !is_short_enough(opens_at, closes_at) {
        complaints.push(Refused::field(R::WindowInvalid, "closesAt"));
    }
    let (deposit, balance) = (drop.deposit()?, drop.balance()?);
    let deposit_changes = request.deposit.is_some_and(|asked| asked != deposit);
    let balance_changes = request.balance.is_some_and(|asked| asked != balance);
    if drop.first_held_at.is_some() {
        if deposit_changes {
            complaints.push(Refused::field(R::DepositFrozen, "deposit"));
        }
        if balance_changes {
            complaints.push(Refused::field(R::DepositFrozen, "balance"));
        }
    }
    if drop.state == DropState::Published {
        let over = now >= drop.closes_at;
        if opens_at > drop.opens_at || (opens_at != drop.opens_at && now >= drop.opens_at) {
            complaints.push(Refused::field(R::WindowShortened, "opensAt"));
        }
        if closes_at < drop.closes_at || (closes_at != drop.closes_at && over) {
            complaints.push(Refused::field(R::WindowShortened, "closesAt"));
        }
        if deposit_changes && fixed_above(request.deposit, drop.price_min_minor) {
            complaints.push(Refused::field(R::DepositAbovePrice, "deposit"));
        }
        if deposit_changes && request.deposit.is_some_and(|asked| !asked.is_valid()) {
            complaints.push(Refused::field(R::DepositInvalid, "deposit"));
        }
        if request.balance.unwrap_or(balance).is_before(closes_at) {
            complaints.push(Refused::field(R::BalanceTooEarly, "balance"));
        }
        if request.minimum_units == Some(Some(Units::ZERO)) {
            complaints.push(Refused::field(R::MinimumOutOfRange, "minimumUnits"));
        }
        let frozen = |name, changes: bool| changes.then(|| Refused::field(R::Frozen, name));
        complaints
            .extend(frozen("holdSeconds", request.hold_secs.is_some_and(|hold| hold != drop.hold_secs)));
        complaints.extend(frozen(
            "perBuyerMax",
            request.per_buyer_max.is_some_and(|limit| limit != drop.per_buyer_max),
        ));
        let harder = |asked: Option<Units>| {
            asked.is_some_and(|asked| drop.minimum_units.is_none_or(|told| asked > told))
        };
        complaints.extend(frozen("minimumUnits", request.minimum_units.is_some_and(harder)));
        complaints.extend(frozen(
            "leadTimeDays",
            request.lead_time_days.is_some_and(|days| days != drop.lead_time_days),
        ));
        complaints.extend(frozen("pickup", request.pickup.is_some_and(|pickup| pickup != drop.pickup)));
        complaints
            .extend(frozen("shipping", request.shipping.is_some_and(|shipping| shipping != drop.shipping)));
    }
    Ok(complaints)
}

/// Returns the complaints about new pickup places. Buyers may have chosen any place of a published drop.
async fn place_complaints(
    tx: &Tx,
    scope: &CreatorScope,
    drop: &Drop,
    wanted: &[PickupPlaceId],
) -> Result<Vec<Refused<UpdateDropRefusal>>, DbErr> {
    let offered = offered_place::of_drops(tx.conn(), &[drop.id]).await?.remove(&drop.id).unwrap_or_default();
    let offered: Vec<PickupPlaceId> = offered.iter().map(|place| place.id).collect();
    let removed = offered.iter().any(|place| !wanted.contains(place));
    if drop.state == DropState::Published && removed {
        return Ok(vec![Refused::field(UpdateDropRefusal::Frozen, "pickupPlaceIds")]);
    }
    offered_place::complaints(tx, scope, &offered, wanted, UpdateDropRefusal::from).await
}

fn fixed_above(deposit: Option<Deposit>, price_min_minor: i64) -> bool {
    matches!(deposit, Some(Deposit::Fixed(minor)) if minor > price_min_minor)
}

fn changed(drop: Drop, request: UpdateDrop) -> (drop_row::ActiveModel, Vec<&'static str>) {
    let mut row = drop.into_active_model();
    let mut fields = Vec::new();
    macro_rules! set {
        ($field:ident = $value:expr) => {
            if let Some(value) = $value {
                row.$field = Set(value);
                fields.push(stringify!($field));
            }
        };
    }
    set!(slug = request.slug.map(|slug| slug.as_str().to_owned()));
    set!(title = request.title.map(ProductTitle::into_string));
    set!(summary = request.summary.map(Summary::into_string));
    set!(opens_at = request.opens_at);
    set!(closes_at = request.closes_at);
    set!(hold_secs = request.hold_secs);
    set!(minimum_units = request.minimum_units);
    set!(per_buyer_max = request.per_buyer_max);
    set!(lead_time_days = request.lead_time_days);
    set!(pickup = request.pickup);
    set!(shipping = request.shipping);
    if let Some(description) = request.description {
        row.description_markdown = Set(description.source().to_owned());
        row.description_html = Set(description.html().to_owned());
        fields.push("description");
    }
    if let Some(deposit) = request.deposit {
        let (kind, value) = deposit.stored();
        (row.deposit_kind, row.deposit_value) = (Set(kind), Set(value));
        fields.push("deposit");
    }
    if let Some(balance) = request.balance {
        let (kind, due_on) = balance.stored();
        (row.balance_kind, row.balance_due_on) = (Set(kind), Set(due_on));
        fields.push("balance");
    }
    if request.tags.is_some() {
        fields.push("tags");
    }
    if request.pickup_places.is_some() {
        fields.push("pickup_places");
    }
    (row, fields)
}
