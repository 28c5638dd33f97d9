//! Many rows with one statement whose text does not depend on how many there are.
//!
//! A `VALUES` list has a text of its own for each number of rows, with a parameter for each value: PostgreSQL
//! parses and plans thousands of parameters anew each time, and no such statement is prepared twice. There
//! the rows go as one parameter, a JSON array, whose members are read by the column types of the table
//! itself. SQLite, which runs in this process, gets the list.
//!
//! Rows of several tables go there and back once, by [`together`].

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

/// Inserts rows that all have the same columns set: one statement, none for no rows.
pub(crate) async fn insert_all<A>(tx: &Tx, rows: Vec<A>) -> Result<(), DbErr>
where
    A: ActiveModelTrait,
{
    match rows.is_empty() {
        true => Ok(()),
        false => run(tx, statement(tx, rows)?).await,
    }
}

/// The same for rows whose keys may be there already; then these columns are changed.
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

/// Inserts that wait for the end of [`together`].
#[derive(Default)]
pub(super) struct Kept(Mutex<Option<Vec<InsertStatement>>>);

impl Kept {
    fn inserts(&self) -> MutexGuard<'_, Option<Vec<InsertStatement>>> {
        // What is guarded is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `work`, whose inserts by [`insert_all`] and [`upsert_all`] are made at its end, by one statement: on
/// PostgreSQL, where each statement goes to another process and back while others wait for the locks of this
/// transaction. What is read in `work` does not see them. Within the second wall each insert is made at once,
/// because some are to be made beyond it.
pub(crate) async fn together<T, E, F>(tx: &Tx, work: F) -> Result<T, E>
where
    F: AsyncFnOnce() -> Result<T, E>,
    E: From<DbErr>,
{
    if tx.conn().get_database_backend() != DbBackend::Postgres || tx.has_wall() {
        return work().await;
    }
    *tx.kept().inserts() = Some(Vec::new());
    let done = work().await;
    let mut inserts = tx.kept().inserts().take().unwrap_or_default();
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
    if let Some(kept) = tx.kept().inserts().as_mut() {
        kept.push(insert);
        return Ok(());
    }
    tx.conn().execute(&insert).await?;
    Ok(())
}

/// Inserts rows, with what becomes of those whose keys are there already, at once. Answers how many were
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

/// The statement, to which what becomes of rows that are there and what is returned may be added. There must
/// be a row.
pub(crate) fn statement<A: ActiveModelTrait>(tx: &Tx, rows: Vec<A>) -> Result<InsertStatement, DbErr> {
    // The text of a single row is the same each time, but not what stands together with others.
    let is_list = (rows.len() == 1 && tx.kept().inserts().is_none())
        || tx.conn().get_database_backend() != DbBackend::Postgres;
    if is_list { Ok(<A::Entity as EntityTrait>::insert_many(rows).into_query()) } else { as_json(&rows) }
}

/// Members of an `IN (…)` list, with the last one repeated so often that their number is a power of two: so
/// there are few texts of the statement, and each is prepared once, whatever the size of a batch.
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

/// Writes a value as the input function of its column's type reads it.
fn write_json(json: &mut String, value: Value) -> Result<(), DbErr> {
    let text = |text: &dyn fmt::Display| format!("\"{text}\"");
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
        other => return Err(Inconsistency::new(format_args!("{other:?} has no form in JSON here")).into()),
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
