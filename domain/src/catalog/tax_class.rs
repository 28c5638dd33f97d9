//! Tax classes: what kind of goods a variant is, so that a country's table names its rate.

use sea_orm::{DeriveActiveEnum, entity::prelude::*};
use serde::{Deserialize, Serialize};

/// For which tax rate goods count.
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
    /// The normal rate.
    #[sea_orm(string_value = "STANDARD")]
    Standard,
    /// The lower rate of a country that has one.
    #[sea_orm(string_value = "REDUCED")]
    Reduced,
    /// Printed books and the like.
    #[sea_orm(string_value = "BOOKS")]
    Books,
    /// What is eaten or drunk.
    #[sea_orm(string_value = "FOOD")]
    Food,
    /// Not taxed.
    #[sea_orm(string_value = "ZERO")]
    Zero,
}
