//! Bulk inserts: many rows with one statement whose text does not depend on their number.
//!
//! A `VALUES` list has a different text for each number of rows, with one parameter for each value.
//! PostgreSQL would parse and plan thousands of parameters each time, and such statements are hardly ever
//! found prepared. So on PostgreSQL the rows are one parameter: a JSON array, whose members are read with the
//! column types of the table itself. SQLite, which runs in this process, gets the `VALUES` list.
//!
//! [`together`] inserts rows of several tables in one round trip.

use std::{
    fmt,
    ops::AsyncFnOnce,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::SecondsFormat;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic, Iterable,
    QueryTrait, Value,
    sea_query::{
        CommonTableExpression, Expr, ExprTrait as _, Func, InsertStatement, OnConflict, Query, WithClause,
    },
};

use super::{Inconsistency, db::Tx};

/// Inserts rows that all have the same columns set, with one statement; without rows it does nothing.
pub(crate) async fn insert_all<A>(tx: &Tx, rows: Vec<A>) -> Result<(), DbErr>
where
    A: ActiveModelTrait,
{
    match rows.is_empty() {
        true => Ok(()),
        false => run(tx, statement(tx, rows)?).await,
    }
}

/// Inserts rows as [`insert_all`] does; where the keys exist already, updates the `changed` columns.
pub(crate) async fn upsert_all<A>(
    tx: &Tx,
    rows: Vec<A>,
    keys: impl IntoIterator<Item = <A::Entity as EntityTrait>::Column>,
    changed: impl IntoIterator<Item = <A::Entity as EntityTrait>::Column>,
) -> Result<(), DbErr>
where
    A: ActiveModelTrait,
{
    if rows.is_empty() {
        return Ok(());
    }
    let mut insert = statement(tx, rows)?;
    insert.on_conflict(OnConflict::columns(keys).update_columns(changed).to_owned());
    run(tx, insert).await
}

/// The inserts that wait for the end of [`together`].
#[derive(Default)]
pub(super) struct PendingInserts(Mutex<Option<Vec<InsertStatement>>>);

impl PendingInserts {
    fn inserts(&self) -> MutexGuard<'_, Option<Vec<InsertStatement>>> {
        // The list is consistent between any two statements, even after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work`, and at its end runs the inserts that [`insert_all`] and [`upsert_all`] made in it, as one
/// statement. This saves round trips on PostgreSQL, while other transactions wait for the locks of this one.
/// Reads within `work` do not see these inserts. Within the second wall each insert runs at once, because
/// some of them must run outside it.
pub(crate) async fn together<T, E, F>(tx: &Tx, work: F) -> Result<T, E>
where
    F: AsyncFnOnce() -> Result<T, E>,
    E: From<DbErr>,
{
    if tx.conn().get_database_backend() != DbBackend::Postgres || tx.has_wall() {
        return work().await;
    }
    *tx.pending_inserts().inserts() = Some(Vec::new());
    let done = work().await;
    let mut inserts = tx.pending_inserts().inserts().take().unwrap_or_default();
    let done = done?;
    let Some(last) = inserts.pop() else { return Ok(done) };
    let mut before = WithClause::new();
    for (number, insert) in inserts.into_iter().enumerate() {
        before.cte(
            CommonTableExpression::new().table_name(format!("insert_{number}")).query(insert).to_owned(),
        );
    }
    tx.conn().execute(&last.with(before)).await?;
    Ok(done)
}

async fn run(tx: &Tx, insert: InsertStatement) -> Result<(), DbErr> {
    if let Some(kept) = tx.pending_inserts().inserts().as_mut() {
        kept.push(insert);
        return Ok(());
    }
    tx.conn().execute(&insert).await?;
    Ok(())
}

/// Inserts rows at once, with `if_there` for those whose keys exist already, and returns the number of rows
/// written.
pub(crate) async fn insert_or<A>(tx: &Tx, rows: Vec<A>, if_there: OnConflict) -> Result<u64, DbErr>
where
    A: ActiveModelTrait,
{
    if rows.is_empty() {
        return Ok(0);
    }
    let mut insert = statement(tx, rows)?;
    insert.on_conflict(if_there);
    Ok(tx.conn().execute(&insert).await?.rows_affected())
}

/// Builds the insert statement, to which the caller may add a conflict clause and a returning clause. `rows`
/// must not be empty.
pub(crate) fn statement<A: ActiveModelTrait>(tx: &Tx, rows: Vec<A>) -> Result<InsertStatement, DbErr> {
    // A single row always gives the same text, but not in a statement combined with others.
    let is_list = (rows.len() == 1 && tx.pending_inserts().inserts().is_none())
        || tx.conn().get_database_backend() != DbBackend::Postgres;
    if is_list { Ok(<A::Entity as EntityTrait>::insert_many(rows).into_query()) } else { as_json(&rows) }
}

/// Returns the members of an `IN (…)` list, with the last one repeated until their number is a power of two.
/// So there are few statement texts, and each is prepared once, whatever the size of a batch.
pub(crate) fn padded<T: Clone>(members: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut members: Vec<T> = members.into_iter().collect();
    if let Some(last) = members.last().cloned() {
        members.resize(members.len().next_power_of_two(), last);
    }
    members
}

fn as_json<A: ActiveModelTrait>(rows: &[A]) -> Result<InsertStatement, DbErr> {
    let entity = A::Entity::default();
    let set = |row: &A| {
        <A::Entity as EntityTrait>::Column::iter()
            .filter(|column| !row.is_not_set(*column))
            .collect::<Vec<_>>()
    };
    let columns = rows.first().map(set).unwrap_or_default();
    let mut array = String::new();
    for row in rows {
        for (at, column) in columns.iter().enumerate() {
            array.push_str(match (array.is_empty(), at) {
                (true, 0) => "[{\"",
                (false, 0) => "},{\"",
                _ => ",\"",
            });
            let name = column.as_str();
            let value = row.get(*column).into_value();
            let value =
                value.ok_or_else(|| Inconsistency::new(format_args!("{name} is set in some rows only")))?;
            array.extend([name, "\":"]);
            write_json(&mut array, value)?;
        }
    }
    array.push_str("}]");
    let of_table = Expr::cust(format!("NULL::\"{}\"", entity.table_name()));
    let members = Func::cust("json_populate_recordset").arg(of_table).arg(Expr::val(array).cast_as("json"));
    let mut select = Query::select();
    select.columns(columns.iter().copied()).from_function(members, "members");
    let mut insert = Query::insert();
    insert.into_table(entity.table_ref()).columns(columns);
    insert.select_from(select).map_err(Inconsistency::new)?;
    Ok(insert)
}

/// Writes a value in the form that the input function of its column type accepts.
fn write_json(json: &mut String, value: Value) -> Result<(), DbErr> {
    let text = |text: &dyn fmt::Display| format!("\"{text}\"");
    #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign enum: other values are refused")]
    let written = match value {
        Value::Bool(value) => value.map(|value| value.to_string()),
        Value::Int(value) => value.map(|value| value.to_string()),
        Value::BigInt(value) => value.map(|value| value.to_string()),
        Value::String(value) => value
            .map(|value| serde_json::to_string(&value))
            .transpose()
            .map_err(|error| Inconsistency::no_json("a text", error))?,
        Value::Bytes(value) => value.map(|value| format!("\"\\\\x{}\"", hex::encode(value))),
        Value::Json(value) => value.map(|value| value.to_string()),
        Value::Uuid(value) => value.map(|value| text(&value)),
        Value::ChronoDate(value) => value.map(|value| text(&value)),
        Value::ChronoDateTimeUtc(value) => {
            value.map(|at| text(&at.to_rfc3339_opts(SecondsFormat::Micros, true)))
        }
        other => return Err(Inconsistency::new(format_args!("{other:?} has no JSON form here")).into()),
    };
    json.push_str(written.as_deref().unwrap_or("null"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_list_has_the_same_members() {
        for (members, expected) in [
            (vec![], vec![]),
            (vec![1], vec![1]),
            (vec![1, 2, 3], vec![1, 2, 3, 3]),
            (vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        ] {
            assert_eq!(padded(members), expected);
        }
    }
}
