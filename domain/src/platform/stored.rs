//! Inconsistent stored data: an [`Inconsistency`] names the table, the column and the row.
//!
//! A value type that is read from a column ([`values`](super::values), [`Country`](super::Country)) never
//! adjusts what it finds: a value out of range fails the read with [`misread`]. SeaORM carries the failure as
//! a `DbErr`, because its trait requires one. [`StoreError`] and [`OpError`](super::OpError) extract the
//! inconsistency again.

use std::fmt;

use sea_orm::{
    ColIdx, DbErr, QueryResult, TryGetError,
    sqlx::{Column, Row},
};
use uuid::Uuid;

/// A stored state that no operation writes: a defect of the program, or a manual change in the database. It
/// is never the caller's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Inconsistency(String);

impl Inconsistency {
    /// Describes a contradiction: the table and row, and what is wrong.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    /// Reports a column value that is not allowed.
    pub fn value(
        table: &str,
        column: &str,
        row: impl fmt::Display,
        value: impl fmt::Display,
        expected: impl fmt::Display,
    ) -> Self {
        Self(format!("{table}.{column} of {row} is {value}, which is not {expected}"))
    }

    /// Reports a value that cannot be written as JSON.
    pub fn no_json(what: &str, error: impl fmt::Display) -> Self {
        Self(format!("{what} cannot be written as JSON: {error}"))
    }

    /// Reports a required row that is missing.
    pub fn missing(table: &str, row: impl fmt::Display) -> Self {
        Self(format!("{table} has no row {row}, although it is required"))
    }
}

/// Why rows could not be read or written, at a level below the operations.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the database failed")]
    Db(#[source] DbErr),
    /// Stored rows contradict each other or a rule.
    #[error("inconsistent state: {0}")]
    Inconsistent(#[from] Inconsistency),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        match inconsistency(&error) {
            Some(inconsistency) => Self::Inconsistent(inconsistency.clone()),
            None => Self::Db(error),
        }
    }
}

/// For functions whose signature allows only a `DbErr`. [`StoreError`] and [`OpError`](super::OpError)
/// extract the inconsistency again.
impl From<Inconsistency> for DbErr {
    fn from(inconsistency: Inconsistency) -> Self {
        Self::TryIntoErr {
            from: "a stored value",
            into: "a value of the program",
            source: std::sync::Arc::new(inconsistency),
        }
    }
}

/// Returns the inconsistency that made a read fail, if that was the cause.
pub(crate) fn inconsistency(error: &DbErr) -> Option<&Inconsistency> {
    let DbErr::TryIntoErr { source, .. } = error else { return None };
    source.downcast_ref()
}

/// Builds the error of a read whose column has a value that its type does not allow.
pub(crate) fn misread<T, I: ColIdx>(
    row: &QueryResult,
    index: I,
    value: impl fmt::Display,
    expected: &'static str,
) -> TryGetError {
    let name = match (index.as_str(), index.as_usize()) {
        (Some(name), _) => name.to_owned(),
        (None, at) => at
            .and_then(|at| row.column_names().get(*at).cloned())
            .unwrap_or_else(|| "an unnamed column".to_owned()),
    };
    let inconsistency = Inconsistency::value(&table_of(row, &name), &name, key_of(row), value, expected);
    let into = std::any::type_name::<T>();
    DbErr::TryIntoErr { from: "a stored value", into, source: std::sync::Arc::new(inconsistency) }.into()
}

/// Returns the table that a column of a result comes from. PostgreSQL reports only its object id; `SELECT
/// 16434::regclass` returns the name.
fn table_of(row: &QueryResult, column: &str) -> String {
    if let Some(row) = row.try_as_sqlite_row()
        && let Some(found) = row.columns().iter().find(|found| found.name() == column)
        && let Some(origin) = found.origin().table_column()
    {
        return origin.table.to_string();
    }
    if let Some(row) = row.try_as_pg_row()
        && let Some(found) = row.columns().iter().find(|found| found.name() == column)
        && let Some(id) = found.relation_id()
    {
        return format!("{}::regclass", id.0);
    }
    // The column was computed, or returned by a statement that wrote it.
    "(unnamed table)".to_owned()
}

/// Identifies the row by its id, or else by the ids that it refers to.
fn key_of(row: &QueryResult) -> String {
    if let Ok(id) = row.try_get::<Uuid>("", "id") {
        return format!("row {id}");
    }
    let ids = row.column_names().into_iter().filter(|name| name.ends_with("_id"));
    let ids = ids.filter_map(|name| Some(format!("{name} {}", row.try_get::<Uuid>("", &name).ok()?)));
    let ids: Vec<String> = ids.collect();
    if ids.is_empty() { "an unnamed row".to_owned() } else { format!("the row with {}", ids.join(", ")) }
}

/// Makes a value that is stored as TEXT usable as a column type. It is read through its `FromStr`.
macro_rules! stored_text {
    ($name:ident, $text:path, $expected:literal) => {
        impl From<$name> for sea_orm::Value {
            fn from(value: $name) -> Self {
                Self::from($text(value).to_owned())
            }
        }
        impl sea_orm::TryGetable for $name {
            fn try_get_by<I: sea_orm::ColIdx>(
                row: &sea_orm::QueryResult,
                index: I,
            ) -> Result<Self, sea_orm::TryGetError> {
                let stored = <String as sea_orm::TryGetable>::try_get_by(row, index)?;
                stored
                    .parse()
                    .map_err(|_| $crate::platform::stored::misread::<Self, I>(row, index, &stored, $expected))
            }
        }
        impl sea_orm::sea_query::ValueType for $name {
            fn try_from(value: sea_orm::Value) -> Result<Self, sea_orm::sea_query::ValueTypeErr> {
                let stored = <String as sea_orm::sea_query::ValueType>::try_from(value)?;
                stored.parse().map_err(|_| sea_orm::sea_query::ValueTypeErr)
            }
            fn type_name() -> String {
                stringify!($name).to_owned()
            }
            fn array_type() -> sea_orm::sea_query::ArrayType {
                sea_orm::sea_query::ArrayType::String
            }
            fn column_type() -> sea_orm::sea_query::ColumnType {
                sea_orm::sea_query::ColumnType::Text
            }
        }
        impl sea_orm::sea_query::Nullable for $name {
            fn null() -> sea_orm::Value {
                sea_orm::Value::String(None)
            }
        }
        // The database never generates a primary key.
        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    };
}
pub(crate) use stored_text;

/// Makes a whole number a column's value. The integer that is stored is made of it by `From` and read by
/// `TryFrom`.
macro_rules! stored_number {
    ($name:ident as $integer:ty, $value:ident, $column:ident, $expected:literal) => {
        impl From<$name> for sea_orm::Value {
            fn from(number: $name) -> Self {
                Self::$value(Some(number.into()))
            }
        }
        impl sea_orm::TryGetable for $name {
            fn try_get_by<I: sea_orm::ColIdx>(
                row: &sea_orm::QueryResult,
                index: I,
            ) -> Result<Self, sea_orm::TryGetError> {
                let stored = <$integer as sea_orm::TryGetable>::try_get_by(row, index)?;
                <Self as TryFrom<$integer>>::try_from(stored)
                    .map_err(|_| $crate::platform::stored::misread::<Self, I>(row, index, stored, $expected))
            }
        }
        impl sea_orm::sea_query::ValueType for $name {
            fn try_from(value: sea_orm::Value) -> Result<Self, sea_orm::sea_query::ValueTypeErr> {
                let stored = <$integer as sea_orm::sea_query::ValueType>::try_from(value)?;
                <Self as TryFrom<$integer>>::try_from(stored).map_err(|_| sea_orm::sea_query::ValueTypeErr)
            }
            fn type_name() -> String {
                stringify!($name).to_owned()
            }
            fn array_type() -> sea_orm::sea_query::ArrayType {
                sea_orm::sea_query::ArrayType::$value
            }
            fn column_type() -> sea_orm::sea_query::ColumnType {
                sea_orm::sea_query::ColumnType::$column
            }
        }
        impl sea_orm::sea_query::Nullable for $name {
            fn null() -> sea_orm::Value {
                sea_orm::Value::$value(None)
            }
        }
        // A primary key is never made by the database.
        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    };
}
pub(crate) use stored_number;
