//! Tax classes: the kinds of goods for which countries have different tax rates.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};
use serde::{Deserialize, Serialize};

/// The tax class of goods, which decides their tax rate.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    DeriveActiveEnum,
)]
#[sea_orm(rs_type = "String", db_type = "Text")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaxClass {
    /// The standard rate.
    #[sea_orm(string_value = "STANDARD")]
    Standard,
    /// The reduced rate, in countries that have one.
    #[sea_orm(string_value = "REDUCED")]
    Reduced,
    /// Printed books and the like.
    #[sea_orm(string_value = "BOOKS")]
    Books,
    /// Food and drinks.
    #[sea_orm(string_value = "FOOD")]
    Food,
    /// Goods that are not taxed.
    #[sea_orm(string_value = "ZERO")]
    Zero,
}
