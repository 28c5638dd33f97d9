//! The `drop_items` and `price_tiers` tables and their finders.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "these tables' own finders, and the public items of their derives"
)]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set,
    DbErr, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use super::terms::Tier;
use crate::platform::{
    BigUnits, Position, Quantity, Tx, Units,
    access::CreatorScope,
    ids::{CreatorId, DropId, DropItemId, VariantId},
};

/// A row of the `drop_items` table: a variant in a drop.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "drop_items")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DropItemId,
    pub drop_id: DropId,
    pub creator_id: CreatorId,
    pub variant_id: VariantId,
    pub position: Position,
    /// The number of units for sale.
    pub units: Units,
    /// The most units that one person may have.
    pub per_buyer_max: Quantity,
    /// The number of units that are paid for. Held units are counted from the reservations.
    pub confirmed_units: Units,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

pub(crate) mod tier_row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "price_tiers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub drop_item_id: DropItemId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub position: Position,
        pub price_minor: i64,
        pub up_to_units: Option<BigUnits>,
        pub until: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Returns the items of drops, in each drop's order, with one statement.
pub(crate) async fn of_drops(conn: &impl ConnectionTrait, drops: &[DropId]) -> Result<Vec<Model>, DbErr> {
    let select = Entity::find().filter(Column::DropId.is_in(drops.iter().copied()));
    select.order_by_asc(Column::DropId).order_by_asc(Column::Position).all(conn).await
}

/// Finds items by id, with one statement.
pub(crate) async fn by_ids(conn: &impl ConnectionTrait, ids: &[DropItemId]) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// Finds a creator's item.
pub(crate) async fn own(
    conn: &impl ConnectionTrait,
    scope: &CreatorScope,
    id: DropItemId,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::CreatorId.eq(scope.creator())).one(conn).await
}

/// Returns the drops of items. The statement reads no other columns. Unknown items are left out.
pub(crate) async fn drops_of(
    conn: &impl ConnectionTrait,
    ids: &[DropItemId],
) -> Result<HashMap<DropItemId, DropId>, DbErr> {
    let select = Entity::find().select_only().column(Column::Id).column(Column::DropId);
    let rows: Vec<_> = select.filter(Column::Id.is_in(ids.iter().copied())).into_tuple().all(conn).await?;
    Ok(rows.into_iter().collect())
}

/// Returns the price tiers of items, in order, with one statement.
pub(crate) async fn tiers_of(
    conn: &impl ConnectionTrait,
    items: &[DropItemId],
) -> Result<HashMap<DropItemId, Vec<Tier>>, DbErr> {
    let rows = tier_row::Entity::find()
        .filter(tier_row::Column::DropItemId.is_in(items.iter().copied()))
        .order_by_asc(tier_row::Column::Position)
        .all(conn)
        .await?;
    let mut tiers: HashMap<DropItemId, Vec<Tier>> = HashMap::new();
    for row in rows {
        let tier = Tier {
            price_minor: row.price_minor,
            up_to_units: row.up_to_units.map(|bound| bound.0),
            until: row.until,
        };
        tiers.entry(row.drop_item_id).or_default().push(tier);
    }
    Ok(tiers)
}

/// Replaces the price tiers of an item.
pub(crate) async fn set_tiers(tx: &Tx, item: DropItemId, tiers: &[Tier]) -> Result<(), DbErr> {
    tier_row::Entity::delete_many().filter(tier_row::Column::DropItemId.eq(item)).exec(tx.conn()).await?;
    let rows = Position::all().zip(tiers).map(|(position, tier)| tier_row::ActiveModel {
        drop_item_id: Set(item),
        position: Set(position),
        price_minor: Set(tier.price_minor),
        up_to_units: Set(tier.up_to_units.map(BigUnits)),
        until: Set(tier.until),
    });
    tier_row::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Removes an item and its price tiers.
pub(crate) async fn remove(tx: &Tx, item: DropItemId) -> Result<(), DbErr> {
    tier_row::Entity::delete_many().filter(tier_row::Column::DropItemId.eq(item)).exec(tx.conn()).await?;
    Entity::delete_by_id(item).exec(tx.conn()).await?;
    Ok(())
}

/// Adds to an item's paid units. The caller must hold the gate.
pub(crate) async fn add_confirmed(tx: &Tx, item: DropItemId, units: Quantity) -> Result<(), DbErr> {
    set_confirmed(tx, item, Expr::col(Column::ConfirmedUnits).add(i32::from(units))).await
}

/// Subtracts from an item's paid units. The caller must hold the gate.
pub(crate) async fn take_confirmed(tx: &Tx, item: DropItemId, units: Quantity) -> Result<(), DbErr> {
    set_confirmed(tx, item, Expr::col(Column::ConfirmedUnits).sub(i32::from(units))).await
}

async fn set_confirmed(tx: &Tx, item: DropItemId, confirmed: Expr) -> Result<(), DbErr> {
    let update = Entity::update_many().col_expr(Column::ConfirmedUnits, confirmed);
    update.filter(Column::Id.eq(item)).exec(tx.conn()).await?;
    Ok(())
}

/// Stores an item's number of units and its limit. The caller must hold the gate.
pub(crate) async fn save(tx: &Tx, item: &Model) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::Units, Expr::value(item.units))
        .col_expr(Column::PerBuyerMax, Expr::value(item.per_buyer_max));
    update.filter(Column::Id.eq(item.id)).exec(tx.conn()).await?;
    Ok(())
}
