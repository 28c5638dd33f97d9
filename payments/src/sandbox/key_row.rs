//! The sandbox's idempotency keys. Each is stored with the hash of its call's input, and with the answer.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "finders of the sandbox_keys table; the derive generates public items"
)]

use chrono::{DateTime, Utc};
use domain::platform::{Inconsistency, Tx};
use sea_orm::{
    ActiveValue::Set,
    DbErr,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::CallError;

const TABLE: &str = "sandbox_keys";

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sandbox_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    /// A [`KeptAnswer`] as JSON.
    pub answer: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

#[derive(Serialize, Deserialize)]
struct KeptAnswer<T> {
    input_hash: String,
    answer: T,
}

fn unreadable(key: &str, error: serde_json::Error) -> DbErr {
    Inconsistency::value(TABLE, "answer", key, error, "the answer of a call").into()
}

fn hash(input: &impl Serialize) -> Result<String, DbErr> {
    let input = serde_json::to_vec(input).map_err(|error| Inconsistency::no_json("an input", error))?;
    Ok(hex::encode(Sha256::digest(&input)))
}

/// Claims a key. Returns `None` if the key is new, so that the call may proceed, or else the answer of the
/// call that used it before. The insert waits for a concurrent call with the same key. A call that is refused
/// leaves the key free, because its transaction is rolled back.
pub(super) async fn claim<T: DeserializeOwned>(
    tx: &Tx,
    key: &str,
    input: &impl Serialize,
) -> Result<Option<T>, CallError> {
    let row = ActiveModel { key: Set(key.to_owned()), answer: Set(String::new()), created_at: Set(tx.now()) };
    let taken = OnConflict::column(Column::Key).do_nothing().to_owned();
    if Entity::insert(row).on_conflict(taken).exec_without_returning(tx.conn()).await? == 1 {
        return Ok(None);
    }
    let known = Entity::find_by_id(key.to_owned()).one(tx.conn()).await?;
    let known = known.ok_or_else(|| DbErr::from(Inconsistency::missing(TABLE, key)))?;
    // The key may have been used for a call with another type of answer. So the inputs are compared before
    // the answer is deserialized.
    let kept: KeptAnswer<serde_json::Value> =
        serde_json::from_str(&known.answer).map_err(|error| unreadable(key, error))?;
    if kept.input_hash != hash(input)? {
        return Err(CallError::Refused("this idempotency key was used for another call; use a new key"));
    }
    Ok(Some(serde_json::from_value(kept.answer).map_err(|error| unreadable(key, error))?))
}

/// Stores the answer of the call that claimed the key.
pub(super) async fn keep(
    tx: &Tx,
    key: &str,
    input: &impl Serialize,
    answer: &impl Serialize,
) -> Result<(), DbErr> {
    let kept = KeptAnswer { input_hash: hash(input)?, answer };
    let kept = serde_json::to_string(&kept).map_err(|error| Inconsistency::no_json("an answer", error))?;
    let update = Entity::update_many().col_expr(Column::Answer, Expr::value(kept));
    update.filter(Column::Key.eq(key)).exec(tx.conn()).await?;
    Ok(())
}

/// Frees the key of a call that had no effect but may have one later.
pub(super) async fn forget(tx: &Tx, key: &str) -> Result<(), DbErr> {
    Entity::delete_by_id(key.to_owned()).exec(tx.conn()).await?;
    Ok(())
}

/// Deletes the keys that were claimed before `before`. Returns how many there were.
pub(super) async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(Column::CreatedAt.lt(before)).exec(tx.conn()).await?.rows_affected)
}
