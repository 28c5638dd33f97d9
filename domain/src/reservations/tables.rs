//! The tax rates of the marketplace and the shipping tariffs of creators, which
//! [`quote`](super::quote::quote) uses.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "these are the tables' own queries, and the derives generate public items"
)]

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, QueryOrder, entity::prelude::*};

use super::quote::{ShippingTariff, Tables, TaxRate};
use crate::{
    catalog::TaxClass,
    platform::{BasisPoints, Country, Currency, Db, Money, TariffGrams, ids::CreatorId},
};

pub(super) mod rate_row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tax_rates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub country: Country,
        #[sea_orm(primary_key, auto_increment = false)]
        pub tax_class: TaxClass,
        #[sea_orm(primary_key, auto_increment = false)]
        pub starts_at: DateTime<Utc>,
        pub rate_bp: BasisPoints,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod tariff_row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "shipping_tariffs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub creator_id: CreatorId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub country: Country,
        #[sea_orm(primary_key, auto_increment = false)]
        pub weight_grams_max: TariffGrams,
        pub price_minor: i64,
        pub currency: Currency,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Loads the tax rates and tariffs that quotes for these creators and countries may need, in two statements.
pub(crate) async fn load(
    conn: &impl ConnectionTrait,
    creators: &BTreeSet<CreatorId>,
    destinations: &BTreeSet<Country>,
    origins: &BTreeSet<Country>,
) -> Result<Tables, DbErr> {
    let countries = origins.union(destinations).copied();
    let rates = rate_row::Entity::find().filter(rate_row::Column::Country.is_in(countries)).all(conn).await?;
    let tariffs = tariff_row::Entity::find()
        .filter(tariff_row::Column::CreatorId.is_in(creators.iter().copied()))
        .filter(tariff_row::Column::Country.is_in(destinations.iter().copied()))
        .all(conn)
        .await?;
    Ok(Tables {
        rates: rates.into_iter().map(rate_of).collect(),
        tariffs: tariffs.into_iter().map(tariff_of).collect(),
    })
}

fn rate_of(row: rate_row::Model) -> TaxRate {
    TaxRate { country: row.country, class: row.tax_class, starts_at: row.starts_at, rate_bp: row.rate_bp }
}

fn tariff_of(row: tariff_row::Model) -> ShippingTariff {
    let price = Money::new(row.price_minor, row.currency);
    ShippingTariff {
        creator: row.creator_id,
        country: row.country,
        weight_grams_max: row.weight_grams_max,
        price,
    }
}

/// Returns all tax rates of the marketplace, by country, class and start.
pub async fn tax_rates(db: &Db) -> Result<Vec<TaxRate>, DbErr> {
    let rows = rate_row::Entity::find()
        .order_by_asc(rate_row::Column::Country)
        .order_by_asc(rate_row::Column::TaxClass)
        .order_by_asc(rate_row::Column::StartsAt)
        .all(db.reader())
        .await?;
    Ok(rows.into_iter().map(rate_of).collect())
}

/// Why a tax rate or a tariff is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TableRefusal {
    /// The tax rate is below 0 or above 100 percent.
    #[error("a tax rate must be between 0 and 100 percent")]
    RateOutOfRange,
    /// There are more than 500 tariffs.
    #[error("a creator can have at most 500 shipping tariffs")]
    TooManyTariffs,
    /// The tariff has another currency than the creator.
    #[error("a tariff must be in the creator's currency")]
    CurrencyMismatch,
    /// There are two tariffs for the same country and weight.
    #[error("there is already a tariff for that country and weight")]
    Duplicate,
    /// The price is below zero, or the weight is not positive.
    #[error("a price must not be negative, and a weight must be more than zero")]
    OutOfRange,
}

/// Returns the tariffs of creators, by country and weight, in one statement.
pub async fn tariffs_of(
    db: &Db,
    creators: &[CreatorId],
) -> Result<HashMap<CreatorId, Vec<ShippingTariff>>, DbErr> {
    let rows = tariff_row::Entity::find()
        .filter(tariff_row::Column::CreatorId.is_in(creators.iter().copied()))
        .order_by_asc(tariff_row::Column::Country)
        .order_by_asc(tariff_row::Column::WeightGramsMax)
        .all(db.reader())
        .await?;
    let mut tariffs: HashMap<CreatorId, Vec<ShippingTariff>> = HashMap::new();
    for row in rows {
        tariffs.entry(row.creator_id).or_default().push(tariff_of(row));
    }
    Ok(tariffs)
}
