//! Publishes a drop.

use super::{
    drop_row::Model as Drop,
    enter_state::enter_state,
    gate,
    item_row::{self, Model as DropItem},
    offered_place,
    state::{DropEvent, transition},
    terms::{Deposit, HOLD_SECS, LEAD_TIME_DAYS_MAX, Tier, is_short_enough},
};
use crate::{
    catalog,
    creators::pickup_places::PickupPlace,
    platform::{
        Db, Inconsistency, OpError, Refused, Units,
        access::CreatorScope,
        ids::{DropId, DropItemId, VariantId},
        in_tx,
    },
};
use chrono::{DateTime, Utc};

/// The reasons to refuse to publish a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// The creator has no such drop.
    #[error("not found")]
    NotFound,
    /// The drop is already published, or was cancelled.
    #[error("only a draft can be published")]
    NotDraft,
    /// The drop has no items.
    #[error("add at least one item")]
    NoItems,
    /// A variant was archived after it was added.
    #[error("this variant is archived")]
    VariantArchived,
    /// An item's limit per person exceeds its units.
    #[error("the limit per person cannot exceed the units of the item")]
    LimitAboveUnits,
    /// A price tier ends at or after the last unit of the item.
    #[error("the number of units of a price tier must be less than the units of the item")]
    TierBeyondUnits,
    /// The window is already over, or lasts too long.
    #[error("the window must close in the future, and last at most 31 days")]
    WindowInvalid,
    /// Holds are too short or too long.
    #[error("a hold lasts 1 to 60 minutes")]
    HoldOutOfRange,
    /// The limit per person is zero.
    #[error("the limit per person must be 1 or more")]
    LimitOutOfRange,
    /// The minimum run is zero, or exceeds the units of all items.
    #[error("the minimum run must be 1 to the total units of the drop")]
    MinimumOutOfRange,
    /// The deposit is zero, or exceeds the lowest price.
    #[error("the deposit must be 0.01 to 100 percent, or a fixed amount of at most the lowest price")]
    DepositInvalid,
    /// The balance is due before the window closes.
    #[error("the balance cannot be due before the window closes")]
    BalanceTooEarly,
    /// The lead time is longer than two years.
    #[error("the lead time is at most 730 days")]
    LeadTimeTooLong,
    /// The drop offers neither shipping nor pickup.
    #[error("offer shipping, pickup, or both")]
    NoDelivery,
    /// The drop offers pickup, but has no pickup place.
    #[error("a drop that offers pickup needs a pickup place")]
    NoPickupPlace,
    /// A pickup place was archived after it was added.
    #[error("this pickup place is archived")]
    PickupPlaceArchived,
}

/// Publishes a draft. Checks the whole drop and returns all complaints at once.
pub async fn publish(db: &Db, scope: &CreatorScope, id: DropId) -> Result<Drop, OpError<PublishRefusal>> {
    in_tx(db, scope, async |tx| {
        let unknown = || OpError::refuse_field(PublishRefusal::NotFound, "id");
        let (_gates, drop) = gate::take_own(tx, scope, id).await?.ok_or_else(unknown)?;
        let now = tx.decision_now().await?;
        let state = transition(drop.state, DropEvent::Publish)
            .map_err(|_| OpError::refuse(PublishRefusal::NotDraft))?;
        let items = item_row::of_drops(tx.conn(), &[id]).await?;
        let ids: Vec<DropItemId> = items.iter().map(|item| item.id).collect();
        let tiers = item_row::tiers_of(tx.conn(), &ids).await?;
        let variants: Vec<VariantId> = items.iter().map(|item| item.variant_id).collect();
        let variants = catalog::variants_for_sale(tx.conn(), &variants).await?;
        let mut complaints = complaints(&drop, now)?;
        if items.is_empty() {
            complaints.push(Refused::field(PublishRefusal::NoItems, "items"));
        }
        for (at, item) in items.iter().enumerate() {
            let archived = variants.get(&item.variant_id).is_none_or(|variant| variant.archived_at.is_some());
            let of_item =
                item_complaints(&drop, item, tiers.get(&item.id).map_or(&[], Vec::as_slice), archived)?;
            complaints
                .extend(of_item.into_iter().map(|(code, field)| Refused::item(code, "items", at, field)));
        }
        let units = items.iter().map(|item| i64::from(item.units)).fold(0, i64::saturating_add);
        if drop.minimum_units.is_some_and(|minimum| !(1..=units).contains(&i64::from(minimum))) {
            complaints.push(Refused::field(PublishRefusal::MinimumOutOfRange, "minimumUnits"));
        }
        if drop.pickup {
            let places = offered_place::of_drops(tx.conn(), &[id]).await?.remove(&id).unwrap_or_default();
            complaints.extend(place_complaints(&places));
        }
        OpError::refuse_if_any(complaints)?;
        Ok(enter_state(tx, drop, state, now).await?)
    })
    .await
}

fn complaints(drop: &Drop, now: DateTime<Utc>) -> Result<Vec<Refused<PublishRefusal>>, Inconsistency> {
    use PublishRefusal as R;
    let mut complaints = Vec::new();
    if drop.closes_at <= now || !is_short_enough(drop.opens_at, drop.closes_at) {
        complaints.push(Refused::field(R::WindowInvalid, "closesAt"));
    }
    if !HOLD_SECS.contains(&drop.hold_secs.get()) {
        complaints.push(Refused::field(R::HoldOutOfRange, "holdSeconds"));
    }
    if drop.per_buyer_max == Some(Units::ZERO) {
        complaints.push(Refused::field(R::LimitOutOfRange, "perBuyerMax"));
    }
    if !drop.deposit()?.is_valid() {
        complaints.push(Refused::field(R::DepositInvalid, "deposit"));
    }
    if drop.balance()?.is_before(drop.closes_at) {
        complaints.push(Refused::field(R::BalanceTooEarly, "balance"));
    }
    if drop.lead_time_days.get() > LEAD_TIME_DAYS_MAX {
        complaints.push(Refused::field(R::LeadTimeTooLong, "leadTimeDays"));
    }
    if !drop.pickup && !drop.shipping {
        complaints.push(Refused::field(R::NoDelivery, "shipping"));
    }
    Ok(complaints)
}

fn place_complaints(places: &[PickupPlace]) -> Vec<Refused<PublishRefusal>> {
    const LIST: &str = "pickupPlaceIds";
    if places.is_empty() {
        return vec![Refused::field(PublishRefusal::NoPickupPlace, LIST)];
    }
    let archived = places.iter().enumerate().filter(|(_, place)| place.archived_at.is_some());
    archived.map(|(at, _)| Refused::entry(PublishRefusal::PickupPlaceArchived, LIST, at)).collect()
}

fn item_complaints(
    drop: &Drop,
    item: &DropItem,
    tiers: &[Tier],
    archived: bool,
) -> Result<Vec<(PublishRefusal, &'static str)>, Inconsistency> {
    use PublishRefusal as R;
    let mut complaints = Vec::new();
    if archived {
        complaints.push((R::VariantArchived, "variantId"));
    }
    if item.per_buyer_max.get() > item.units.get() {
        complaints.push((R::LimitAboveUnits, "perBuyerMax"));
    }
    if tiers.iter().any(|tier| tier.up_to_units.is_some_and(|bound| bound >= item.units)) {
        complaints.push((R::TierBeyondUnits, "tiers"));
    }
    let lowest = tiers.iter().map(|tier| tier.price_minor).min().unwrap_or(0);
    if matches!(drop.deposit()?, Deposit::Fixed(minor) if minor > lowest) {
        complaints.push((R::DepositInvalid, "tiers"));
    }
    Ok(complaints)
}
