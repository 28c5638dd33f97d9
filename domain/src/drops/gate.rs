//! The gate of a drop: the row lock that a transaction holds to change a claim on the drop's units.

#![expect(clippy::disallowed_methods, reason = "the gate table's own finders")]

use std::collections::BTreeSet;

use sea_orm::{
    ActiveValue::Set,
    DbErr,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::drop_row;
use crate::platform::{Tx, access::CreatorScope, facts::Fact, ids::DropId, outbox};

mod entity {
    #![expect(unreachable_pub, reason = "the derive makes public items")]
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "stock_gates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub drop_id: DropId,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Creates the gate of a new drop.
pub(crate) async fn build(tx: &Tx, drop: DropId) -> Result<(), DbErr> {
    let row = entity::ActiveModel { drop_id: Set(drop), version: Set(0) };
    entity::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// The gates that a transaction holds, with their versions. Functions that change a claim on units require
/// this value, so no claim is changed without its gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gates(Vec<(DropId, i64)>);

impl Gates {
    /// Returns the drops with the versions of their gates, by ascending id.
    pub(crate) fn versions(&self) -> &[(DropId, i64)] {
        &self.0
    }

    /// Returns the drops, by ascending id.
    pub(crate) fn drops(&self) -> Vec<DropId> {
        self.0.iter().map(|(drop, _)| *drop).collect()
    }

    /// Returns whether no other transaction has taken any of these gates since `before`.
    pub(crate) fn follow(&self, before: &Self) -> bool {
        let next = before.0.iter().map(|(drop, version)| (*drop, version.saturating_add(1)));
        next.eq(self.0.iter().copied())
    }

    /// Returns the gates as they are after the transaction that took them was rolled back.
    pub(crate) fn rolled_back(mut self) -> Self {
        self.0.iter_mut().for_each(|(_, version)| *version = version.saturating_sub(1));
        self
    }
}

/// Takes the gates of drops in ascending order of their ids, so that no two transactions deadlock.
///
/// Load state with later statements only. A statement that waits for the lock and loads in one go would see
/// the state from before it waited.
pub(crate) async fn take(tx: &Tx, drops: &BTreeSet<DropId>) -> Result<Gates, DbErr> {
    let mut taken = Vec::with_capacity(drops.len());
    for drop in drops {
        let update = entity::Entity::update_many()
            .col_expr(entity::Column::Version, Expr::col(entity::Column::Version).add(1));
        let gate = update.filter(entity::Column::DropId.eq(*drop)).exec_with_returning(tx.conn()).await?;
        taken.extend(gate.into_iter().map(|gate| (gate.drop_id, gate.version)));
    }
    Ok(Gates(taken))
}

/// Takes the gate and the row lock of a creator's drop, and returns the locked row. Returns `None` if the
/// creator has no such drop. In that case nothing is locked: the request does not wait for another creator's
/// drop, and the answer takes as long as for a drop that does not exist.
pub(crate) async fn take_own(
    tx: &Tx,
    scope: &CreatorScope,
    drop: DropId,
) -> Result<Option<(Gates, drop_row::Model)>, DbErr> {
    // A drop never changes its creator, so the creator can be checked before the gate is taken.
    if !drop_row::owns(tx.conn(), scope, drop).await? {
        return Ok(None);
    }
    let gates = take(tx, &BTreeSet::from([drop])).await?;
    Ok(drop_row::lock(tx, scope, drop).await?.map(|row| (gates, row)))
}

/// Publishes that the drops' free units changed.
pub(crate) async fn publish_stock(tx: &Tx, gates: &Gates) -> Result<(), DbErr> {
    let creators = drop_row::creators_of(tx.conn(), &gates.drops()).await?;
    let changed = gates.versions().iter().filter_map(|(drop, version)| {
        let creator = *creators.get(drop)?;
        Some((*version, Fact::StockChanged { creator, drop: *drop }))
    });
    outbox::publish_all(tx, &changed.collect::<Vec<_>>()).await
}

/// Returns the current versions of drops' gates, with one statement.
pub(crate) async fn versions_of(
    conn: &impl ConnectionTrait,
    drops: &[DropId],
) -> Result<Vec<(DropId, i64)>, DbErr> {
    let rows =
        entity::Entity::find().filter(entity::Column::DropId.is_in(drops.iter().copied())).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.drop_id, row.version)).collect())
}
