//! Many rows with one statement whose text does not depend on how many there are.
//!
//! A `VALUES` list has a text of its own for each number of rows, with a parameter for each value: PostgreSQL parses and plans
//! thousands of parameters anew each time, and no such statement is prepared twice. There the rows go as one parameter, a JSON
//! array, whose members are read by the column types of the table itself. SQLite, which runs in this process, gets the list.

use chrono::SecondsFormat;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, IdenStatic, Iterable, QueryTrait, Value,
    sea_query::{Expr, Func, InsertStatement, OnConflict, Query},
};
use serde_json::Value as Json;

use super::db::Tx;

/// Inserts rows that all have the same columns set: one statement, which answers how many there were that were not there.
pub(crate) async fn insert_all<A>(tx: &Tx, rows: Vec<A>) -> Result<(), DbErr>
where
    A: ActiveModelTrait,
{
    if !rows.is_empty() {
        tx.conn().execute(&statement(tx, rows)?).await?;
    }
    Ok(())
}

/// The same, with what becomes of rows whose keys are there already. Answers how many were written.
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

/// The statement, to which what becomes of rows that are there and what is returned may be added. There must be a row.
pub(crate) fn statement<A: ActiveModelTrait>(tx: &Tx, rows: Vec<A>) -> Result<InsertStatement, DbErr> {
    // The text of a single row is the same each time.
    let is_list = rows.len() == 1 || tx.conn().get_database_backend() != DbBackend::Postgres;
    if is_list { Ok(<A::Entity as EntityTrait>::insert_many(rows).into_query()) } else { as_json(&rows) }
}

/// Members of an `IN (…)` list, with the last one repeated so often that their number is a power of two: so there are few texts of
/// the statement, and each is prepared once, whatever the size of a batch.
pub(crate) fn padded<T: Clone>(members: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut members: Vec<T> = members.into_iter().collect();
    if let Some(last) = members.last().cloned() {
        members.resize(members.len().next_power_of_two(), last);
    }
    members
}

fn as_json<A: ActiveModelTrait>(rows: &[A]) -> Result<InsertStatement, DbErr> {
    let entity = A::Entity::default();
    let set = |row: &A| <A::Entity as EntityTrait>::Column::iter().filter(|column| !row.is_not_set(*column)).collect::<Vec<_>>();
    let columns = rows.first().map(set).unwrap_or_default();
    let object = |row: &A| {
        let fields = columns.iter().map(|column| {
            let value = row.get(*column).into_value();
            let value = value.ok_or_else(|| DbErr::Type(format!("{} is set in some rows only", column.as_str())))?;
            Ok((column.as_str().to_owned(), json(value)?))
        });
        Ok(Json::Object(fields.collect::<Result<_, DbErr>>()?))
    };
    let objects = Json::Array(rows.iter().map(object).collect::<Result<_, DbErr>>()?);
    let of_table = Expr::cust(format!("NULL::\"{}\"", entity.table_name()));
    let members = Func::cust("jsonb_populate_recordset").arg(of_table).arg(Expr::val(objects));
    let mut select = Query::select();
    select.columns(columns.iter().copied()).from_function(members, "members");
    let mut insert = Query::insert();
    insert.into_table(entity.table_ref()).columns(columns);
    insert.select_from(select).map_err(|error| DbErr::Custom(error.to_string()))?;
    Ok(insert)
}

/// A value as the input function of its column's type reads it.
fn json(value: Value) -> Result<Json, DbErr> {
    Ok(match value {
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::BigInt(value) => value.into(),
        Value::String(value) => value.into(),
        Value::Bytes(value) => value.map(|bytes| format!("\\x{}", hex::encode(bytes))).into(),
        Value::Json(value) => value.map_or(Json::Null, |json| *json),
        Value::Uuid(value) => value.map(|uuid| uuid.to_string()).into(),
        Value::ChronoDate(value) => value.map(|date| date.to_string()).into(),
        Value::ChronoDateTimeUtc(value) => value.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true)).into(),
        other => return Err(DbErr::Type(format!("{other:?} has no form in JSON here"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_list_has_the_same_members() {
        for (members, expected) in
            [(vec![], vec![]), (vec![1], vec![1]), (vec![1, 2, 3], vec![1, 2, 3, 3]), (vec![1, 2, 3, 4], vec![1, 2, 3, 4])]
        {
            assert_eq!(padded(members), expected);
        }
    }
}
