//! Claims on units: how many units of an item are held, and how many are taken.

#![expect(
    clippy::disallowed_methods,
    reason = "these reads join the tables of drops with the table of reservations"
)]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, FromQueryResult, JoinType, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, Func, Query},
};

use super::{
    reservation_row::{self, Column as C},
    state::ReservationState,
};
use crate::{
    drops::{
        drop_row::{self, Column as D},
        item_row::{self, Column as I},
        queries::DropSet,
    },
    platform::{
        BigUnits, Db, Units,
        ids::{DropId, DropItemId},
    },
};

/// The units of an item that are taken, with the version of its drop. That version counts every change of the
/// drop, its items and its tiers, except changes of the taken units.
#[derive(Debug, FromQueryResult)]
pub(crate) struct TakenUnits {
    pub(crate) drop_id: DropId,
    pub(crate) version: i64,
    pub(crate) first_held_at: Option<DateTime<Utc>>,
    pub(crate) id: DropItemId,
    pub(crate) confirmed_units: Units,
    /// The units that are held at the requested time, if any, and when the first of these holds expires.
    pub(crate) held: Option<BigUnits>,
    pub(crate) next: Option<DateTime<Utc>>,
}

/// Returns the taken units of the items of drops at `now`, in one statement.
pub(crate) async fn taken(
    conn: &impl ConnectionTrait,
    drops: &[DropId],
    now: DateTime<Utc>,
) -> Result<Vec<TakenUnits>, DbErr> {
    let its_drop: RelationDef =
        item_row::Entity::belongs_to(drop_row::Entity).from(I::DropId).to(D::Id).into();
    let mut select = item_row::Entity::find()
        .select_only()
        .columns([I::DropId, I::Id, I::ConfirmedUnits])
        .column_as(D::Version, "version")
        .column_as(D::FirstHeldAt, "first_held_at")
        .column_as(Expr::col(("holds", "held")), "held")
        .column_as(Expr::col(("holds", "next")), "next")
        .join(JoinType::InnerJoin, its_drop)
        .filter(I::DropId.is_in(drops.iter().copied()));
    let same = Expr::col(("holds", "drop_item_id")).equals((item_row::Entity, I::Id));
    let holds = reservation_row::held_by_item(drops, now).into_query();
    QueryTrait::query(&mut select).join_subquery(JoinType::LeftJoin, holds, "holds", same);
    select.into_model().all(conn).await
}

/// The held units of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ItemStockView {
    /// Units held for buyers who have not paid yet.
    pub held: Units,
    /// When the first of these holds expires, unless it is paid.
    pub next_hold_ends_at: Option<DateTime<Utc>>,
}

/// Returns the held units of the items of drops as of now, by drop, in one statement.
pub async fn held_by_drop(
    db: &Db,
    drops: &[DropId],
) -> Result<HashMap<DropId, Vec<(DropItemId, ItemStockView)>>, DbErr> {
    let mut held: HashMap<DropId, Vec<(DropItemId, ItemStockView)>> = HashMap::new();
    for (drop, item, units, next) in reservation_row::held_units(db.reader(), drops, db.now()).await? {
        held.entry(drop)
            .or_default()
            .push((item, ItemStockView { held: units, next_hold_ends_at: Some(next) }));
    }
    Ok(held)
}

/// Selects the drops that have an item with units left at `now`.
pub fn with_units_left(now: DateTime<Utc>) -> DropSet {
    let held = held_of_item(now);
    let left = Expr::col((item_row::Entity, I::Units))
        .sub(Expr::col((item_row::Entity, I::ConfirmedUnits)))
        .gt(held);
    DropSet(item_row::Entity::find().select_only().column(I::DropId).filter(left).into_query())
}

/// Returns an expression for the units held at `now` of the item in an outer query on `drop_items`.
fn held_of_item(now: DateTime<Utc>) -> Expr {
    let held = Query::select()
        .expr(Func::coalesce([
            Expr::col((reservation_row::Entity, C::Units)).sum().cast_as("bigint"),
            Expr::val(0_i64),
        ]))
        .from(reservation_row::Entity)
        // An index on the drop finds its held units.
        .and_where(Expr::col((reservation_row::Entity, C::DropId)).equals((item_row::Entity, I::DropId)))
        .and_where(Expr::col((reservation_row::Entity, C::DropItemId)).equals((item_row::Entity, I::Id)))
        .and_where(C::State.eq(ReservationState::Held))
        .and_where(C::ExpiresAt.gt(now))
        .to_owned();
    Expr::SubQuery(None, Box::new(held.into()))
}
