//! The gate of a drop: whoever changes a claim on its units holds this row's lock.

#![expect(clippy::disallowed_methods, reason = "the gate table's own finders")]

use sea_orm::{
    ActiveValue::Set,
    DbErr,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::drop_row;
use crate::platform::{
    Tx,
    access::CreatorScope,
    ids::{CreatorId, DropId},
};

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

/// Makes the gate of a new drop.
pub(crate) async fn build(tx: &Tx, drop: DropId) -> Result<(), DbErr> {
    let row = entity::ActiveModel { drop_id: Set(drop), version: Set(0) };
    entity::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Takes the gates of drops in ascending id, so that no two transactions wait for each other.
///
/// State must be loaded by later statements: one that waits for the lock and loads at once would
/// see what was there before it waited. Answers the gates' versions, which a `StockChanged` fact counts by.
pub(crate) async fn take(tx: &Tx, drops: &[DropId]) -> Result<Vec<(DropId, i64)>, DbErr> {
    let mut drops = drops.to_vec();
    drops.sort_unstable();
    drops.dedup();
    let mut taken = Vec::with_capacity(drops.len());
    for drop in drops {
        let update = entity::Entity::update_many().col_expr(entity::Column::Version, Expr::col(entity::Column::Version).add(1));
        let gate = update.filter(entity::Column::DropId.eq(drop)).exec_with_returning(tx.conn()).await?;
        taken.extend(gate.into_iter().map(|gate| (gate.drop_id, gate.version)));
    }
    Ok(taken)
}

/// Takes the gate of a creator's drop and the lock of its row, which it answers as it is then. `None` when the creator has no such
/// drop: nothing is taken then, so that nobody waits for strangers, and another's drop answers as fast as none.
pub(crate) async fn take_own(tx: &Tx, scope: &CreatorScope, drop: DropId) -> Result<Option<drop_row::Model>, DbErr> {
    // Whose it is never changes, so it may be asked before the gate is taken.
    if !drop_row::owns(tx.conn(), scope, drop).await? {
        return Ok(None);
    }
    take(tx, &[drop]).await?;
    drop_row::lock(tx, scope, drop).await
}

/// The present versions of drops' gates, with whose they are: what a `StockChanged` fact counts by.
pub(crate) async fn versions(tx: &Tx, drops: &[DropId]) -> Result<Vec<(DropId, CreatorId, i64)>, DbErr> {
    let versions = versions_of(tx.conn(), drops).await?;
    let creators = drop_row::by_ids(tx.conn(), drops).await?;
    let creator_of = |drop| creators.iter().find(|row| row.id == drop).map(|row| row.creator_id);
    Ok(versions.into_iter().filter_map(|(drop, version)| Some((drop, creator_of(drop)?, version))).collect())
}

/// The present versions of drops' gates: one statement.
pub(crate) async fn versions_of(conn: &impl ConnectionTrait, drops: &[DropId]) -> Result<Vec<(DropId, i64)>, DbErr> {
    let rows = entity::Entity::find().filter(entity::Column::DropId.is_in(drops.iter().copied())).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.drop_id, row.version)).collect())
}
