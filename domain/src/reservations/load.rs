//! Loads what a decision needs, with a constant number of statements.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use super::{
    decide::{Conduct, DropWindow, Hold, ItemStock, LAPSES_WITHIN, Stock, StoredPersonKey},
    lines::Conditions,
    quote::{ItemTerms, OfferedPlace},
    reservation_row::{self, PersonalClaim},
    state::ReservationState,
};
use crate::{
    creators::pickup_places::PickupPlace,
    drops::{
        drop_row, item_row,
        offered_place::{self, PlacesByDrop},
    },
    platform::{
        Inconsistency, StoreError, Units,
        ids::{CheckoutId, DropId, DropItemId},
    },
};

/// The persons and checkouts that a decision is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct About<'a> {
    /// The persons who make the requests; their claims are loaded to check limits.
    pub(crate) persons: &'a [StoredPersonKey],
    /// The checkouts whose holds may change.
    pub(crate) checkouts: &'a [CheckoutId],
}

/// Loads the stock of drops at `now`. It takes three statements, and one more each for persons and for
/// checkouts, if there are any. For a decision, the gates must be held first.
pub(crate) async fn stock(
    conn: &impl ConnectionTrait,
    drops: &[DropId],
    about: About<'_>,
    now: DateTime<Utc>,
) -> Result<Stock, DbErr> {
    let drops = drop_row::by_ids(conn, drops).await?;
    let ids: Vec<DropId> = drops.iter().map(|row| row.id).collect();
    let items = item_row::of_drops(conn, &ids).await?;
    stock_of(conn, &drops, &items, about, now).await
}

/// Loads the stock of drops and items whose rows are already loaded.
pub(crate) async fn stock_of(
    conn: &impl ConnectionTrait,
    drops: &[drop_row::Model],
    items: &[item_row::Model],
    About { persons, checkouts }: About<'_>,
    now: DateTime<Utc>,
) -> Result<Stock, DbErr> {
    let ids: Vec<DropId> = drops.iter().map(|row| row.id).collect();
    let held = reservation_row::held_units(conn, &ids, now).await?;
    let mut stock = stock_with(drops, items, held.into_iter().map(|(_, item, units, _)| (item, units.get())));
    let ids: Vec<DropItemId> = items.iter().map(|row| row.id).collect();
    add_persons(conn, &mut stock, &ids, persons, now).await?;
    if !checkouts.is_empty() {
        for row in reservation_row::active_holds(conn, checkouts, now).await? {
            let hold = Hold { item: row.drop_item_id, units: row.units.get(), person: row.person_key };
            stock.holds.entry(row.checkout_id).or_default().push(hold);
        }
    }
    Ok(stock)
}

/// Returns the stock of drops and items from their rows and the held units. It has no claims of persons.
pub(super) fn stock_with(
    drops: &[drop_row::Model],
    items: &[item_row::Model],
    held: impl IntoIterator<Item = (DropItemId, u32)>,
) -> Stock {
    let mut stock = Stock::default();
    for row in drops {
        let window = DropWindow {
            state: row.state,
            opens_at: row.opens_at,
            closes_at: row.closes_at,
            hold: row.hold_secs.span(),
            per_buyer_max: row.per_buyer_max.map(Units::get),
        };
        stock.drops.insert(row.id, window);
    }
    for row in items {
        let (units, confirmed, per_buyer_max) =
            (row.units.get(), row.confirmed_units.get(), row.per_buyer_max.get());
        stock.items.insert(row.id, ItemStock { drop: row.drop_id, units, confirmed, held: 0, per_buyer_max });
    }
    for (item, held) in held {
        if let Some(stock) = stock.items.get_mut(&item) {
            stock.held = held;
        }
    }
    stock
}

/// Adds the claims of persons and their conduct in the drops, in one statement if there are any persons.
pub(super) async fn add_persons(
    conn: &impl ConnectionTrait,
    stock: &mut Stock,
    items: &[DropItemId],
    persons: &[StoredPersonKey],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    if !persons.is_empty() {
        let lapsed_after = now.checked_sub_signed(LAPSES_WITHIN).unwrap_or(now);
        count_claims(stock, reservation_row::claims_of(conn, items, persons, lapsed_after).await?, now);
    }
    Ok(())
}

/// Counts the units that persons hold or have paid for, and the holds that they let expire. A checkout counts
/// once per drop, however many lines it has there.
fn count_claims(stock: &mut Stock, claims: Vec<PersonalClaim>, now: DateTime<Utc>) {
    let (mut open, mut lapsed) = (BTreeSet::new(), BTreeSet::new());
    for claim in claims {
        let PersonalClaim { drop_id, drop_item_id, person_key, checkout_id, units, state, expires_at } =
            claim;
        let held = state == ReservationState::Held && expires_at > now;
        if held || state == ReservationState::Confirmed {
            stock.add_of_person(drop_item_id, &person_key, units.get());
        }
        let conduct: &mut Conduct = stock.conduct.entry((drop_id, person_key)).or_default();
        if held && open.insert((drop_id, checkout_id)) {
            conduct.open = conduct.open.saturating_add(1);
        }
        // A hold that has just expired may not have been processed yet.
        let ran_out = state == ReservationState::Expired || (state == ReservationState::Held && !held);
        if ran_out && lapsed.insert((drop_id, checkout_id)) {
            conduct.lapsed = conduct.lapsed.saturating_add(1);
            conduct.lapsed_last = conduct.lapsed_last.max(Some(expires_at));
        }
    }
}

/// Loads the pickup places of drops, in one statement if any of them offers pickup.
pub(crate) async fn places_of(
    conn: &impl ConnectionTrait,
    drops: &[drop_row::Model],
) -> Result<PlacesByDrop, DbErr> {
    let offering: Vec<DropId> = drops.iter().filter(|drop| drop.pickup).map(|drop| drop.id).collect();
    if offering.is_empty() { Ok(PlacesByDrop::new()) } else { offered_place::of_drops(conn, &offering).await }
}

/// Loads the terms of items and their drops, by item, in one statement.
pub(crate) async fn terms_of(
    conn: &impl ConnectionTrait,
    drops: &[drop_row::Model],
    rows: &[item_row::Model],
    places: &PlacesByDrop,
    Conditions { variants, creators, .. }: &Conditions,
) -> Result<HashMap<DropItemId, ItemTerms>, StoreError> {
    let drops: HashMap<_, _> = drops.iter().map(|row| (row.id, row)).collect();
    let mut tiers = item_row::tiers_of(conn, &rows.iter().map(|row| row.id).collect::<Vec<_>>()).await?;
    let offered = |place: &PickupPlace| OfferedPlace { id: place.id, country: place.country };
    let mut terms = HashMap::new();
    for row in rows {
        let found = (drops.get(&row.drop_id), variants.get(&row.variant_id), creators.get(&row.creator_id));
        let (Some(drop), Some(variant), Some(creator)) = found else {
            return Err(Inconsistency::missing(
                "drops, variants or creators",
                format!("of drop item {}", row.id),
            )
            .into());
        };
        let of_item = ItemTerms {
            item: row.id,
            drop: row.drop_id,
            creator: row.creator_id,
            variant: row.variant_id,
            currency: drop.currency,
            tiers: tiers.remove(&row.id).unwrap_or_default(),
            deposit: drop.deposit()?,
            balance: drop.balance()?,
            closes_at: drop.closes_at,
            lead_time_days: drop.lead_time_days,
            pickup: drop.pickup,
            pickup_places: places
                .get(&drop.id)
                .map(Vec::as_slice)
                .unwrap_or_default()
                .iter()
                .map(offered)
                .collect(),
            shipping: drop.shipping,
            prices_include_tax: creator.prices_include_tax,
            origin_country: creator.country,
            time_zone: creator.time_zone,
            tax_class: variant.tax_class,
            weight_grams: variant.weight_grams,
        };
        terms.insert(row.id, of_item);
    }
    Ok(terms)
}
