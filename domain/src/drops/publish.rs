//! To announce a drop, take it back, and call it off.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{
    drop_row::{self, Model as Drop},
    gate,
    item_row::{self, Model as DropItem},
    state::{DropEvent, transition},
    terms::{Balance, Deposit, HOLD_SECS, LEAD_TIME_DAYS_MAX, Tier, WINDOW_DAYS_MAX},
};
use crate::{
    catalog,
    payments::{self, RefundReason},
    platform::{
        Db, Inconsistency, OpError, Refused, Tx, Units,
        access::CreatorScope,
        audit,
        facts::Fact,
        ids::{CheckoutId, DropId, DropItemId, VariantId},
        in_tx, outbox,
    },
    reservations::{
        cancel::{give_back_paid, release_unpaid},
        checkout_row,
        load::{self, About},
        reservation_row,
        reserve::stock_changed,
        state::ReservationState,
    },
};

/// Why a drop is not announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// No such drop of this creator.
    #[error("not found")]
    NotFound,
    /// It is announced, or was called off.
    #[error("only a draft can be published")]
    NotDraft,
    /// Nothing is sold.
    #[error("add at least one item")]
    NoItems,
    /// A variant was archived since it was added.
    #[error("this variant is archived")]
    VariantArchived,
    /// A limit that nobody can reach.
    #[error("one buyer may not have more units than there are")]
    LimitAboveUnits,
    /// A tier that begins where the units end.
    #[error("a price tier must end before the units do")]
    TierBeyondUnits,
    /// The window is over, or lasts too long.
    #[error("the window must close in the future, and last at most 31 days")]
    WindowInvalid,
    /// Holds are too short or too long.
    #[error("a hold lasts 1 to 60 minutes")]
    HoldOutOfRange,
    /// Nobody could have anything.
    #[error("a limit per person is 1 or more")]
    LimitOutOfRange,
    /// Of nothing, or of more than there is.
    #[error("a minimum run is 1 unit to as many as there are")]
    MinimumOutOfRange,
    /// A deposit of nothing, or above a price.
    #[error("a deposit is 0.01 to 100 percent, or a fixed amount of at most the lowest price")]
    DepositInvalid,
    /// Due before the window closes.
    #[error("the balance cannot be due before the window closes")]
    BalanceTooEarly,
    /// Longer than two years.
    #[error("the lead time is at most 730 days")]
    LeadTimeTooLong,
    /// Neither sent nor fetched.
    #[error("offer shipping, pickup, or both")]
    NoDelivery,
}

/// Announces a draft. It is checked as a whole: every complaint comes in one answer.
pub async fn publish(db: &Db, scope: &CreatorScope, id: DropId) -> Result<Drop, OpError<PublishRefusal>> {
    in_tx(db, scope, async |tx| {
        let unknown = || OpError::refuse_field(PublishRefusal::NotFound, "id");
        let drop = gate::take_own(tx, scope, id).await?.ok_or_else(unknown)?;
        let now = tx.decision_now().await?;
        let state = transition(drop.state, DropEvent::Publish).map_err(|_| OpError::refuse(PublishRefusal::NotDraft))?;
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
            let of_item = item_complaints(&drop, item, tiers.get(&item.id).map_or(&[], Vec::as_slice), archived)?;
            complaints.extend(of_item.into_iter().map(|(code, field)| Refused::item(code, "items", at, field)));
        }
        let units = items.iter().map(|item| i64::from(item.units)).fold(0, i64::saturating_add);
        if drop.minimum_units.is_some_and(|minimum| !(1..=units).contains(&i64::from(minimum))) {
            complaints.push(Refused::field(PublishRefusal::MinimumOutOfRange, "minimumUnits"));
        }
        OpError::refuse_if_any(complaints)?;
        drop_row::set_state(tx, id, state, Some(now)).await?;
        told(tx, &drop, "drop.publish").await?;
        Ok(Drop { state, published_at: Some(now), ..drop })
    })
    .await
}

fn complaints(drop: &Drop, now: DateTime<Utc>) -> Result<Vec<Refused<PublishRefusal>>, Inconsistency> {
    use PublishRefusal as R;
    let mut complaints = Vec::new();
    let days = drop.closes_at.signed_duration_since(drop.opens_at).num_days();
    if drop.closes_at <= now || days > WINDOW_DAYS_MAX {
        complaints.push(Refused::field(R::WindowInvalid, "closesAt"));
    }
    if !HOLD_SECS.contains(&drop.hold_secs.get()) {
        complaints.push(Refused::field(R::HoldOutOfRange, "holdSeconds"));
    }
    if drop.per_buyer_max == Some(Units::ZERO) {
        complaints.push(Refused::field(R::LimitOutOfRange, "perBuyerMax"));
    }
    let valid = match drop.deposit()? {
        Deposit::Percent(points) => (1..=10_000).contains(&points),
        Deposit::Fixed(minor) => minor > 0,
    };
    if !valid {
        complaints.push(Refused::field(R::DepositInvalid, "deposit"));
    }
    if matches!(drop.balance()?, Balance::OnDate(date) if date < drop.closes_at.date_naive()) {
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

/// Why a drop is not taken back or called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawRefusal {
    /// No such drop of this creator.
    #[error("not found")]
    NotFound,
    /// It does not stand where this could happen.
    #[error("the drop is not published")]
    NotPublished,
    /// Somebody holds or has paid for units.
    #[error("units are reserved; cancel the drop instead")]
    Reserved,
}

/// Takes an announced drop back to a draft, while nothing is held or paid for.
pub async fn withdraw(db: &Db, scope: &CreatorScope, id: DropId) -> Result<Drop, OpError<WithdrawRefusal>> {
    in_tx(db, scope, async |tx| {
        let unknown = || OpError::refuse_field(WithdrawRefusal::NotFound, "id");
        let drop = gate::take_own(tx, scope, id).await?.ok_or_else(unknown)?;
        let now = tx.decision_now().await?;
        let state = transition(drop.state, DropEvent::Withdraw).map_err(|_| OpError::refuse(WithdrawRefusal::NotPublished))?;
        let stock = load::stock(tx.conn(), &[id], About::default(), now).await?;
        if stock.items.keys().any(|item| stock.taken(*item) > 0) {
            return Err(OpError::refuse(WithdrawRefusal::Reserved));
        }
        drop_row::set_state(tx, id, state, None).await?;
        told(tx, &drop, "drop.withdraw").await?;
        Ok(Drop { state, published_at: None, ..drop })
    })
    .await
}

/// Why a drop is not called off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelDropRefusal {
    /// No such drop of this creator.
    #[error("not found")]
    NotFound,
    /// It was called off before.
    #[error("the drop is cancelled already")]
    AlreadyCancelled,
}

/// Calls a drop off: holds end, and every deposit that was paid for it goes back.
pub async fn cancel(db: &Db, scope: &CreatorScope, id: DropId) -> Result<Drop, OpError<CancelDropRefusal>> {
    let mut gates = BTreeSet::from([id]);
    loop {
        match in_tx(db, scope, async |tx| cancel_under(tx, scope, id, &gates).await).await? {
            Cancelled::Done(drop) => return Ok(*drop),
            // Gates are taken in one go and in one order, so it begins anew. Nobody can add to what it needs but by a checkout
            // over the drop and one more that nobody shared with it before.
            Cancelled::Needs(more) => gates.extend(more),
        }
    }
}

/// How far an attempt to call a drop off came.
enum Cancelled {
    Done(Box<Drop>),
    /// Nothing was done: the gates of these drops are needed as well.
    Needs(BTreeSet<DropId>),
}

async fn cancel_under(
    tx: &Tx,
    scope: &CreatorScope,
    id: DropId,
    gates: &BTreeSet<DropId>,
) -> Result<Cancelled, OpError<CancelDropRefusal>> {
    let unknown = || OpError::refuse_field(CancelDropRefusal::NotFound, "id");
    if !drop_row::owns(tx.conn(), scope, id).await? {
        return Err(unknown());
    }
    // What follows for checkouts is the marketplace's rule and reaches other creators' lines.
    let drops: Vec<DropId> = gates.iter().copied().collect();
    let shared = tx
        .beyond_wall(async || {
            gate::take(tx, &drops).await?;
            sharing_checkouts_with(tx, id).await
        })
        .await?;
    if !shared.is_subset(gates) {
        return Ok(Cancelled::Needs(shared));
    }
    let drop = drop_row::lock(tx, scope, id).await?.ok_or_else(unknown)?;
    let state = transition(drop.state, DropEvent::Cancel).map_err(|_| OpError::refuse(CancelDropRefusal::AlreadyCancelled))?;
    drop_row::set_state(tx, id, state, drop.published_at).await?;
    tx.beyond_wall(async || {
        give_all_back(tx, id).await?;
        stock_changed(tx, &drops).await.map_err(OpError::from)
    })
    .await?;
    told(tx, &drop, "drop.cancel").await?;
    Ok(Cancelled::Done(Box::new(Drop { state, ..drop })))
}

/// The drops of all lines that share an unpaid checkout with this drop, because such checkouts are released whole. Under
/// the drop's gate nothing can be added to them.
async fn sharing_checkouts_with(tx: &Tx, id: DropId) -> Result<BTreeSet<DropId>, DbErr> {
    let checkouts: Vec<CheckoutId> =
        reservation_row::alive_in_drop(tx.conn(), id).await?.iter().map(|line| line.checkout_id).collect();
    let lines = reservation_row::of_checkouts(tx.conn(), &checkouts).await?;
    Ok(lines.iter().map(|line| line.drop_id).collect())
}

async fn give_all_back(tx: &Tx, id: DropId) -> Result<(), OpError<CancelDropRefusal>> {
    let alive = reservation_row::alive_in_drop(tx.conn(), id).await?;
    let paid: Vec<_> = alive.iter().filter(|line| line.state == ReservationState::Confirmed).cloned().collect();
    if !paid.is_empty() {
        give_back_paid(tx, &paid, RefundReason::DropCancelled).await?;
    }
    let held: BTreeMap<CheckoutId, ()> =
        alive.iter().filter(|line| line.state == ReservationState::Held).map(|line| (line.checkout_id, ())).collect();
    for checkout in held.into_keys() {
        let lines = reservation_row::of_checkouts(tx.conn(), &[checkout]).await?;
        release_unpaid(tx, checkout, &lines).await?;
        payments::abandon(tx, checkout).await?;
    }
    let checkouts: BTreeSet<CheckoutId> = alive.iter().map(|line| line.checkout_id).collect();
    for checkout in checkouts {
        let version = checkout_row::touch(tx, checkout, None, false).await?;
        outbox::publish(tx, version, &Fact::ReservationCancelled { checkout }).await?;
    }
    Ok(())
}

async fn told(tx: &Tx, drop: &Drop, action: &'static str) -> Result<(), DbErr> {
    outbox::publish(tx, drop.version, &Fact::DropChanged { creator: drop.creator_id, drop: drop.id }).await?;
    audit::record(tx, action, drop.id, &["state"]).await
}
