//! Idempotency keys: the same request twice has one effect.
//!
//! A key is written in the transaction of its effect, with a hash of the input and the id of the
//! result. A refusal rolls back, so the key is free again. After Stripe's rules for such keys.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the idempotency table's own finders, and what its derive makes public"
)]

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::Set, DbErr, entity::prelude::*, sea_query::OnConflict};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    db::{Actor, Tx},
    entropy::equal_in_constant_time,
};

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub principal: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub operation: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        pub input_hash: Vec<u8>,
        pub result: Uuid,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// A client's key: 8 to 64 characters of `[A-Za-z0-9_.:-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a key; `None` when it is out of bounds.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (8..=64).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        (fits && plain).then(|| Self(text.to_owned()))
    }
}

/// What is known of a key once it is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Nobody used it: this transaction goes on and makes `result`.
    Fresh,
    /// The same request was done before and made this.
    Replay(Uuid),
    /// Another request was done with this key.
    Mismatch,
}

/// Claims a key for `result`. The insert waits for a concurrent transaction with the same key.
pub async fn claim(
    tx: &Tx,
    principal: Actor,
    operation: &'static str,
    key: &IdempotencyKey,
    input: &impl Serialize,
    result: Uuid,
) -> Result<Claim, DbErr> {
    let input = serde_json::to_vec(input).map_err(|error| DbErr::Json(error.to_string()))?;
    let input_hash = Sha256::digest(&input).to_vec();
    let principal = principal.to_string();
    let row = entity::ActiveModel {
        principal: Set(principal.clone()),
        operation: Set(operation.to_owned()),
        key: Set(key.0.clone()),
        input_hash: Set(input_hash.clone()),
        result: Set(result),
        created_at: Set(tx.now()),
    };
    let columns = [entity::Column::Principal, entity::Column::Operation, entity::Column::Key];
    let taken = OnConflict::columns(columns).do_nothing().to_owned();
    let inserted = entity::Entity::insert(row).on_conflict(taken).exec_without_returning(tx.conn()).await?;
    if inserted == 1 {
        return Ok(Claim::Fresh);
    }
    let known = entity::Entity::find_by_id((principal, operation.to_owned(), key.0.clone())).one(tx.conn()).await?;
    let known = known.ok_or_else(|| DbErr::RecordNotFound("idempotency key".to_owned()))?;
    let same = equal_in_constant_time(&known.input_hash, &input_hash);
    Ok(if same { Claim::Replay(known.result) } else { Claim::Mismatch })
}

/// Forgets keys made before `before`. Answers how many.
pub async fn sweep(tx: &Tx, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let old = entity::Entity::delete_many().filter(entity::Column::CreatedAt.lt(before));
    Ok(old.exec(tx.conn()).await?.rows_affected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded() {
        assert!(IdempotencyKey::new("3f0c2a9e-1d52-4f7a-9d3e-3b5a0c8f9e11").is_some());
        for bad in ["short", "has space in it", &"x".repeat(65), "ümlaut-key"] {
            assert!(IdempotencyKey::new(bad).is_none(), "{bad}");
        }
    }
}
