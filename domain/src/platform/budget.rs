//! Budgets: rate limits, shared by all processes through one row each.
//!
//! The algorithm is the generic cell rate algorithm (ITU-T I.371). A row stores the instant at which the
//! budget is full again. An action moves this instant by one interval. The action is refused if the instant
//! would then be further ahead than the burst allows.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the budgets table's own finders, and what its derive makes public"
)]

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, OnConflict},
};

use super::{Inconsistency, db::Tx};

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "budgets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub whole_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::{ActiveModel, Column as C, Entity};

/// A rate: `burst` actions at once, then one every `interval`.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// The time in which one action is regained.
    pub interval: TimeDelta,
    /// The number of actions that may happen at once.
    pub burst: u32,
}

impl Rate {
    /// Returns a rate of `count` actions a second, with a burst of a quarter of that.
    pub fn per_second(count: u32) -> Self {
        let count = count.max(1);
        let micros = 1_000_000_i64.checked_div(i64::from(count)).unwrap_or(1_000_000);
        Self { interval: TimeDelta::microseconds(micros), burst: count.div_ceil(4) }
    }

    /// Returns a rate of `count` actions a minute, with a burst of the same size.
    pub fn per_minute(count: u32) -> Self {
        let count = count.max(1);
        let micros = 60_000_000_i64.checked_div(i64::from(count)).unwrap_or(60_000_000);
        Self { interval: TimeDelta::microseconds(micros), burst: count }
    }
}

/// Takes one action from a budget. If none is left, returns how long to wait.
pub async fn take(tx: &Tx, name: &str, rate: Rate) -> Result<Result<(), TimeDelta>, DbErr> {
    let now = tx.decision_now().await?;
    let row = ActiveModel { name: Set(name.to_owned()), whole_at: Set(now) };
    let known = OnConflict::column(C::Name).do_nothing().to_owned();
    Entity::insert(row).on_conflict(known).exec_without_returning(tx.conn()).await?;
    let row = Entity::find_by_id(name.to_owned()).lock_exclusive().one(tx.conn()).await?;
    let row = row.ok_or_else(|| Inconsistency::missing("budgets", name))?;
    match next_whole_at(row.whole_at, now, rate) {
        Err(wait) => Ok(Err(wait)),
        Ok(whole_at) => {
            let update = Entity::update_many().col_expr(C::WholeAt, Expr::value(whole_at));
            update.filter(C::Name.eq(name)).exec(tx.conn()).await?;
            Ok(Ok(()))
        }
    }
}

fn next_whole_at(
    whole_at: DateTime<Utc>,
    now: DateTime<Utc>,
    rate: Rate,
) -> Result<DateTime<Utc>, TimeDelta> {
    let next = whole_at.max(now).checked_add_signed(rate.interval).unwrap_or(now);
    let burst = i32::try_from(rate.burst).unwrap_or(i32::MAX);
    let allowed = rate.interval.checked_mul(burst).unwrap_or(TimeDelta::MAX);
    let ahead = next.signed_duration_since(now);
    if ahead <= allowed { Ok(next) } else { Err(ahead.checked_sub(&allowed).unwrap_or(rate.interval)) }
}

/// Deletes budgets that are full and returns their number.
pub async fn sweep(tx: &Tx) -> Result<u64, DbErr> {
    Ok(Entity::delete_many().filter(C::WholeAt.lt(tx.now())).exec(tx.conn()).await?.rows_affected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_each_interval() {
        let start = DateTime::<Utc>::UNIX_EPOCH;
        let rate = Rate::per_minute(6);
        let mut whole_at = start;
        for _ in 0..6 {
            whole_at = next_whole_at(whole_at, start, rate).unwrap();
        }
        assert_eq!(next_whole_at(whole_at, start, rate), Err(TimeDelta::seconds(10)));
        assert!(next_whole_at(whole_at, start + TimeDelta::seconds(10), rate).is_ok());
    }
}
