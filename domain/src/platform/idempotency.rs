//! Idempotency keys: a repeated request has a single effect.
//!
//! A key is written in the transaction of its effect, with a hash of the input and the id of the result. A
//! refusal rolls back, so the key is free again. The rules follow Stripe's.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the idempotency table's own finders, and what its derive makes public"
)]

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    Condition, DbErr,
    entity::prelude::*,
    sea_query::{OnConflict, Query},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Inconsistency, access::Actor, bulk, db::Tx, entropy::equal_in_constant_time};

const TABLE: &str = "idempotency_keys";

/// How long keys are kept before [`sweep`] deletes them, in days.
pub const KEPT_DAYS: i64 = 7;

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

/// A client's idempotency key: 8 to 64 characters of `[A-Za-z0-9_.:-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The shortest and the longest length, in characters.
    pub const CHARS: RangeInclusive<usize> = 8..=64;

    /// Checks a key; returns `None` if it has the wrong length or characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits = Self::CHARS.contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
        (fits && plain).then(|| Self(text.to_owned()))
    }
}

/// The result of claiming a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The key was unused: this transaction continues and creates `result`.
    Fresh,
    /// The same request was completed before, with this result.
    Replay(Uuid),
    /// Another request was completed with this key.
    Mismatch,
}

/// A key to be claimed.
#[derive(Debug, Clone, Copy)]
pub struct KeyAsked<'a> {
    /// The actor that uses the key.
    pub principal: Actor,
    /// The name of the operation.
    pub operation: &'static str,
    /// The key.
    pub key: &'a IdempotencyKey,
    /// The hash by which requests are compared; see [`hash_of`].
    pub input_hash: &'a [u8],
    /// The id of what the request is about to create.
    pub result: Uuid,
}

impl KeyAsked<'_> {
    fn identity(&self) -> (String, String, String) {
        (self.principal.to_string(), self.operation.to_owned(), self.key.0.clone())
    }
}

/// Returns the hash by which inputs are compared.
pub fn hash_of(input: &impl Serialize) -> Result<Vec<u8>, DbErr> {
    let input = serde_json::to_vec(input).map_err(|error| Inconsistency::no_json("an input", error))?;
    Ok(Sha256::digest(&input).to_vec())
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
    let asked = KeyAsked { principal, operation, key, input_hash: &hash_of(input)?, result };
    let claim = claim_all(tx, &[asked]).await?.into_iter().next();
    Ok(claim.ok_or_else(|| Inconsistency::missing(TABLE, key.0.as_str()))?)
}

/// Claims keys, each of which occurs once in `asked`. They are inserted in ascending order, so that no two
/// transactions deadlock. This takes one statement, and one more if some keys were used before. Returns the
/// claims in the order of `asked`.
pub async fn claim_all(tx: &Tx, asked: &[KeyAsked<'_>]) -> Result<Vec<Claim>, DbErr> {
    let identities: Vec<_> = asked.iter().map(KeyAsked::identity).collect();
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_unstable_by_key(|at| identities.get(*at));
    let rows = order.iter().filter_map(|at| {
        let (asked, (principal, operation, key)) = (asked.get(*at)?, identities.get(*at)?.clone());
        Some(entity::ActiveModel {
            principal: Set(principal),
            operation: Set(operation),
            key: Set(key),
            input_hash: Set(asked.input_hash.to_vec()),
            result: Set(asked.result),
            created_at: Set(tx.now()),
        })
    });
    let columns = [entity::Column::Principal, entity::Column::Operation, entity::Column::Key];
    let taken = OnConflict::columns(columns).do_nothing().to_owned();
    let mut inserted: HashSet<Identity> = HashSet::with_capacity(asked.len());
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let mut insert = bulk::statement(tx, rows.collect())?;
    insert.on_conflict(taken).returning(Query::returning().columns(columns));
    // Keys belong to the actor that uses them, not to a tenant.
    let known = tx
        .beyond_wall(async || {
            for row in tx.conn().query_all(&insert).await? {
                inserted.insert((
                    row.try_get("", "principal")?,
                    row.try_get("", "operation")?,
                    row.try_get("", "key")?,
                ));
            }
            let used: Vec<_> = identities.iter().filter(|identity| !inserted.contains(*identity)).collect();
            if used.is_empty() { Ok(HashMap::new()) } else { known(tx, &used).await }
        })
        .await?;
    let claims = asked.iter().zip(&identities).map(|(asked, identity)| {
        if inserted.contains(identity) {
            return Ok(Claim::Fresh);
        }
        let known = known.get(identity).ok_or_else(|| Inconsistency::missing(TABLE, &identity.2))?;
        let same = equal_in_constant_time(&known.input_hash, asked.input_hash);
        Ok(if same { Claim::Replay(known.result) } else { Claim::Mismatch })
    });
    claims.collect()
}

type Identity = (String, String, String);

async fn known(tx: &Tx, identities: &[&Identity]) -> Result<HashMap<Identity, entity::Model>, DbErr> {
    let rows = entity::Entity::find().filter(any_of(identities)).all(tx.conn()).await?;
    Ok(rows
        .into_iter()
        .map(|row| ((row.principal.clone(), row.operation.clone(), row.key.clone()), row))
        .collect())
}

/// Frees keys that this transaction has claimed for requests that were then refused.
pub async fn free_all(tx: &Tx, asked: &[KeyAsked<'_>]) -> Result<(), DbErr> {
    if asked.is_empty() {
        return Ok(());
    }
    let identities: Vec<_> = asked.iter().map(KeyAsked::identity).collect();
    let those = any_of(&identities.iter().collect::<Vec<_>>());
    tx.beyond_wall(async || entity::Entity::delete_many().filter(those).exec(tx.conn()).await).await?;
    Ok(())
}

fn any_of(identities: &[&Identity]) -> Condition {
    identities.iter().fold(Condition::any(), |any, (principal, operation, key)| {
        let one = Condition::all()
            .add(entity::Column::Principal.eq(principal))
            .add(entity::Column::Operation.eq(operation))
            .add(entity::Column::Key.eq(key));
        any.add(one)
    })
}

/// Deletes keys created before `before` and returns their number.
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
