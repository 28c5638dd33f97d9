//! The pickup places that drops offer, in the creator's order: the `drop_pickup_places` table.

#![expect(clippy::disallowed_methods, reason = "the table's own finders")]

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ActiveValue::Set, DbErr, JoinType, QueryOrder, QuerySelect, QueryTrait, entity::prelude::*,
    sea_query::SelectStatement,
};

use super::drop_row;
use crate::{
    creators::pickup_places::{PickupPlace, place_row},
    platform::{
        Position, Refused, Tx,
        access::CreatorScope,
        ids::{DropId, PickupPlaceId},
    },
};

/// The most pickup places of a drop.
pub const DROP_PLACES_MAX: usize = 20;

mod entity {
    #![expect(unreachable_pub, reason = "the derive makes public items")]
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "drop_pickup_places")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub drop_id: DropId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub pickup_place_id: PickupPlaceId,
        pub position: Position,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::{ActiveModel, Column, Entity};

/// The pickup places of several drops, each drop's in order. Drops without places are absent.
pub(crate) type PlacesByDrop = HashMap<DropId, Vec<PickupPlace>>;

/// Returns the pickup places of drops, archived ones included, with one statement.
pub(crate) async fn of_drops(conn: &impl ConnectionTrait, drops: &[DropId]) -> Result<PlacesByDrop, DbErr> {
    let place =
        Entity::belongs_to(place_row::Entity).from(Column::PickupPlaceId).to(place_row::Column::Id).into();
    let rows = Entity::find()
        .join(JoinType::InnerJoin, place)
        .select_also(place_row::Entity)
        .filter(Column::DropId.is_in(drops.iter().copied()))
        .order_by_asc(Column::DropId)
        .order_by_asc(Column::Position)
        .all(conn)
        .await?;
    let mut places = PlacesByDrop::new();
    for (offer, place) in rows {
        places.entry(offer.drop_id).or_default().extend(place);
    }
    Ok(places)
}

/// Returns a subquery of the places that announced drops offer.
pub(crate) fn announced() -> SelectStatement {
    let its_drop = Entity::belongs_to(drop_row::Entity).from(Column::DropId).to(drop_row::Column::Id).into();
    Entity::find()
        .select_only()
        .column(Column::PickupPlaceId)
        .join(JoinType::InnerJoin, its_drop)
        .filter(drop_row::Column::PublishedAt.is_not_null())
        .into_query()
}

/// Replaces the places of a drop. The caller has checked them and holds the gate.
pub(crate) async fn set(tx: &Tx, drop: DropId, places: &[PickupPlaceId]) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::DropId.eq(drop)).exec(tx.conn()).await?;
    let rows = Position::all().zip(distinct(places)).map(|(position, place)| ActiveModel {
        drop_id: Set(drop),
        pickup_place_id: Set(place),
        position: Set(position),
    });
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// Returns the places without repetitions, in order.
fn distinct(places: &[PickupPlaceId]) -> impl Iterator<Item = PickupPlaceId> {
    let mut seen = BTreeSet::new();
    places.iter().copied().filter(move |place| seen.insert(*place))
}

/// Why a drop cannot offer a pickup place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceComplaint {
    /// The creator has no such place, or it is archived.
    NotFound,
    /// There are more than [`DROP_PLACES_MAX`] places.
    TooMany,
}

/// Returns why a drop cannot offer these places. A place that it offers already may be archived.
pub(super) async fn complaints<R>(
    tx: &Tx,
    scope: &CreatorScope,
    offered: &[PickupPlaceId],
    wanted: &[PickupPlaceId],
    refusal: impl Fn(PlaceComplaint) -> R,
) -> Result<Vec<Refused<R>>, DbErr> {
    const LIST: &str = "pickupPlaceIds";
    if wanted.len() > DROP_PLACES_MAX {
        return Ok(vec![Refused::field(refusal(PlaceComplaint::TooMany), LIST)]);
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let known = place_row::own_by_ids(tx.conn(), scope, wanted).await?;
    let may = |place: &PickupPlaceId| {
        known.get(place).is_some_and(|row| row.archived_at.is_none() || offered.contains(place))
    };
    let wrong = wanted.iter().enumerate().filter(|(_, place)| !may(place));
    Ok(wrong.map(|(at, _)| Refused::entry(refusal(PlaceComplaint::NotFound), LIST, at)).collect())
}
