//! Replaces the shipping tariffs of a creator.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::tables::{TableRefusal, tariff_row};
use crate::{
    creators,
    platform::{
        Country, Db, Money, OpError, Refused, TariffGrams, access::CreatorScope, audit, facts::Fact, in_tx,
        outbox,
    },
};

/// The maximum number of tariffs of a creator.
pub const TARIFFS_MAX: usize = 500;

/// A tariff to set.
#[derive(Debug, Clone)]
pub struct NewTariff {
    /// The destination.
    pub country: Country,
    /// For parcels up to this weight, in grams.
    pub weight_grams_max: i32,
    /// The price, gross or net like the creator's prices.
    pub price: Money,
}

/// Replaces all tariffs of a creator.
pub async fn set_tariffs(
    db: &Db,
    scope: &CreatorScope,
    tariffs: &[NewTariff],
) -> Result<(), OpError<TableRefusal>> {
    if tariffs.len() > TARIFFS_MAX {
        return Err(OpError::refuse_field(TableRefusal::TooManyTariffs, "tariffs"));
    }
    let mut complaints = Vec::new();
    let mut weights = Vec::with_capacity(tariffs.len());
    for (at, tariff) in tariffs.iter().enumerate() {
        let earlier = tariffs.iter().take(at);
        let twice = earlier.filter(|other| {
            other.country == tariff.country && other.weight_grams_max == tariff.weight_grams_max
        });
        if twice.count() > 0 {
            complaints.push(Refused::item(TableRefusal::Duplicate, "tariffs", at, "country"));
        }
        match TariffGrams::try_from(tariff.weight_grams_max) {
            Ok(weight) if tariff.price.minor >= 0 => weights.push(weight),
            Ok(_) | Err(_) => {
                complaints.push(Refused::item(TableRefusal::OutOfRange, "tariffs", at, "price"))
            }
        }
    }
    in_tx(db, scope, async |tx| {
        let creator = creators::lock(tx, scope).await?;
        for (at, tariff) in tariffs.iter().enumerate() {
            if tariff.price.currency != creator.currency {
                complaints.push(Refused::item(TableRefusal::CurrencyMismatch, "tariffs", at, "price"));
            }
        }
        OpError::refuse_if_any(complaints)?;
        tariff_row::Entity::delete_many()
            .filter(tariff_row::Column::CreatorId.eq(scope.creator()))
            .exec(tx.conn())
            .await?;
        let rows = tariffs.iter().zip(weights).map(|(tariff, weight_grams_max)| tariff_row::ActiveModel {
            creator_id: Set(scope.creator()),
            country: Set(tariff.country),
            weight_grams_max: Set(weight_grams_max),
            price_minor: Set(tariff.price.minor),
            currency: Set(tariff.price.currency),
        });
        let rows: Vec<_> = rows.collect();
        if !rows.is_empty() {
            tariff_row::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
        }
        outbox::publish(tx, creator.version, &Fact::CreatorChanged { creator: creator.id }).await?;
        Ok(audit::record(tx, "creator.set_tariffs", creator.id, &["tariffs"]).await?)
    })
    .await
}
