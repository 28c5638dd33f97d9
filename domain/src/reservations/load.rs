//! What a decision needs, loaded by a constant number of statements.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, DbErr};

use super::{
    decide::{DropWindow, Hold, ItemStock, PersonKey, Stock},
    quote::ItemTerms,
    reservation_row,
};
use crate::{
    catalog, creators,
    drops::{drop_row, item_row},
    platform::ids::{CreatorId, DropId, DropItemId, EntityId, VariantId},
};

/// The stock of drops, with the paid units of the persons that are asked about. Four statements;
/// for a decision, call it after the gates were taken.
pub(crate) async fn stock(
    conn: &impl ConnectionTrait,
    drops: &[DropId],
    persons: &[PersonKey],
    now: DateTime<Utc>,
) -> Result<Stock, DbErr> {
    let mut stock = Stock::default();
    for row in drop_row::by_ids(conn, drops).await? {
        let window = DropWindow { state: row.state, opens_at: row.opens_at, closes_at: row.closes_at };
        stock.drops.insert(row.id, window);
    }
    let mut items = Vec::new();
    for row in item_row::of_drops(conn, drops).await? {
        let count = |number: i32| u32::try_from(number).unwrap_or(0);
        let (units, confirmed, per_buyer_max) = (count(row.units), count(row.confirmed_units), count(row.per_buyer_max));
        stock.items.insert(row.id, ItemStock { drop: row.drop_id, units, confirmed, per_buyer_max });
        items.push(row.id);
    }
    for row in reservation_row::active_holds(conn, drops, now).await? {
        let units = row.units_u32();
        let (checkout, item) = (row.checkout_id, row.drop_item_id);
        stock.holds.push(Hold { checkout, item, units, expires_at: row.expires_at, person: row.person_key });
    }
    if !persons.is_empty() {
        stock.confirmed_by_person = reservation_row::confirmed_by_person(conn, &items, persons).await?;
    }
    Ok(stock)
}

/// The terms of items, by item: five statements. Items that do not exist are absent.
pub(crate) async fn terms(conn: &impl ConnectionTrait, items: &[DropItemId]) -> Result<HashMap<DropItemId, ItemTerms>, DbErr> {
    let rows = item_row::by_ids(conn, items).await?;
    let distinct = |ids: BTreeSet<DropId>| ids.into_iter().collect::<Vec<_>>();
    let drops = drop_row::by_ids(conn, &distinct(rows.iter().map(|row| row.drop_id).collect())).await?;
    let drops: HashMap<_, _> = drops.into_iter().map(|row| (row.id, row)).collect();
    let variant_ids: Vec<VariantId> = rows.iter().map(|row| row.variant_id).collect();
    let variants = catalog::variants_for_sale(conn, &variant_ids).await?;
    let creator_ids: BTreeSet<CreatorId> = rows.iter().map(|row| row.creator_id).collect();
    let creators = creators::for_sale(conn, &creator_ids.into_iter().collect::<Vec<_>>()).await?;
    let mut tiers = item_row::tiers_of(conn, items).await?;
    let mut terms = HashMap::new();
    for row in rows {
        let found = (drops.get(&row.drop_id), variants.get(&row.variant_id), creators.get(&row.creator_id));
        let (Some(drop), Some(variant), Some(creator)) = found else {
            return Err(DbErr::RecordNotFound(format!("drop, variant or creator of {}", row.id.public())));
        };
        let time_zone: Tz = creator.time_zone.parse().unwrap_or(chrono_tz::UTC);
        let of_item = ItemTerms {
            item: row.id,
            drop: row.drop_id,
            creator: row.creator_id,
            variant: row.variant_id,
            currency: drop.currency,
            tiers: tiers.remove(&row.id).unwrap_or_default(),
            deposit: drop.deposit(),
            balance: drop.balance(),
            closes_at: drop.closes_at,
            lead_time_days: u32::try_from(drop.lead_time_days).unwrap_or(0),
            pickup: drop.pickup,
            shipping: drop.shipping,
            prices_include_tax: creator.prices_include_tax,
            origin_country: creator.country.clone(),
            time_zone,
            tax_class: variant.tax_class,
            weight_grams: variant.weight_grams,
        };
        terms.insert(row.id, of_item);
    }
    Ok(terms)
}
