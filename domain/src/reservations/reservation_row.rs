//! The table of reservations, with its scoped queries.

#![expect(clippy::disallowed_methods, reason = "these are the reservations table's own queries")]

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    Condition, DbErr, FromQueryResult, QueryOrder, QuerySelect, QueryTrait, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, Query, SelectStatement},
};

use super::{
    decide::StoredPersonKey,
    quote::{DeliveryMethod, Quote},
    state::ReservationState,
    tasks::HoldLapse,
};
use crate::platform::{
    BigUnits, Currency, Position, Quantity, Tx, Units,
    access::CreatorScope,
    as_new, bulk,
    ids::{CheckoutId, CreatorId, DropId, DropItemId, PickupPlaceId, ReservationId, VariantId},
    timers,
};

/// A buyer's claim on units of one drop item.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reservations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReservationId,
    pub checkout_id: CheckoutId,
    /// The position of the line in its checkout, from 0.
    pub position: Position,
    pub drop_id: DropId,
    pub drop_item_id: DropItemId,
    pub creator_id: CreatorId,
    pub variant_id: VariantId,
    pub person_key: Vec<u8>,
    pub units: Quantity,
    pub state: ReservationState,
    pub expires_at: DateTime<Utc>,
    pub currency: Currency,
    pub goods_minor: i64,
    pub tax_minor: i64,
    pub shipping_minor: i64,
    pub total_minor: i64,
    pub due_now_minor: i64,
    pub due_later_minor: i64,
    pub balance_due_on: Option<Date>,
    pub delivery: DeliveryMethod,
    /// Where the buyer picks the units up. Reservations from before there were places lack it.
    pub pickup_place_id: Option<PickupPlaceId>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub confirmed_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// Selects a creator's lines, from any checkout.
pub(crate) fn of_creator(scope: &CreatorScope) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator()))
}

/// Returns the lines of checkouts, in order, in one statement.
pub(crate) async fn of_checkouts(
    conn: &impl ConnectionTrait,
    ids: &[CheckoutId],
) -> Result<Vec<Model>, DbErr> {
    let select = Entity::find().filter(Column::CheckoutId.is_in(ids.iter().copied()));
    select.order_by_asc(Column::CheckoutId).order_by_asc(Column::Position).all(conn).await
}

/// Returns a subquery that selects the checkout of a line.
pub(crate) fn checkout_of(line: ReservationId) -> SelectStatement {
    Entity::find_by_id(line).select_only().column(Column::CheckoutId).into_query()
}

/// Returns lines by id, without checking whose they are.
pub(crate) async fn by_ids(conn: &impl ConnectionTrait, ids: &[ReservationId]) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await
}

/// Returns which of these pickup places the paid lines of some checkouts are picked up at, in one statement.
pub(crate) async fn paid_places(
    conn: &impl ConnectionTrait,
    checkouts: SelectStatement,
    places: &[PickupPlaceId],
) -> Result<Vec<PickupPlaceId>, DbErr> {
    use ReservationState as S;
    let over = [S::Expired, S::Cancelled, S::Refunded];
    Entity::find()
        .select_only()
        .column(Column::PickupPlaceId)
        .distinct()
        .filter(Column::PickupPlaceId.is_in(places.iter().copied()))
        .filter(Column::CheckoutId.in_subquery(checkouts))
        .filter(Column::ConfirmedAt.is_not_null())
        .filter(Column::State.is_not_in(over))
        .into_tuple()
        .all(conn)
        .await
}

/// Returns the lines of a drop that are held or paid. Cancelling the drop releases them.
pub(crate) async fn alive_in_drop(conn: &impl ConnectionTrait, drop: DropId) -> Result<Vec<Model>, DbErr> {
    let alive = Column::State.is_in([ReservationState::Held, ReservationState::Confirmed]);
    Entity::find().filter(Column::DropId.eq(drop)).filter(alive).order_by_asc(Column::Id).all(conn).await
}

/// Selects held lines that have no timer to end them and expire after `after` and not after `until`.
///
/// The state is an SQL literal, because PostgreSQL does not use a partial index for a parameter. The same
/// holds for the query below.
pub(crate) fn held_without_timer(
    after: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
) -> Select<Entity> {
    let timer = timers::of_subject::<HoldLapse>((Entity, Column::CheckoutId));
    let mut held = Entity::find().filter(Expr::cust("state = 'HELD'")).filter(Expr::not_exists(timer));
    if let Some(after) = after {
        held = held.filter(Column::ExpiresAt.gt(after));
    }
    if let Some(until) = until {
        held = held.filter(Column::ExpiresAt.lte(until));
    }
    held.order_by_asc(Column::ExpiresAt).order_by_asc(Column::Id)
}

/// Returns a subquery for `EXISTS` that selects the held lines of the checkout that a timer in an outer query
/// is about.
pub(crate) fn held_of_timer() -> SelectStatement {
    let of_checkout = Expr::col((Entity, Column::CheckoutId)).equals(timers::subject_column());
    let held = Expr::cust("state = 'HELD'");
    Query::select().expr(Expr::val(1)).from(Entity).and_where(of_checkout).and_where(held).to_owned()
}

/// Returns the lines of checkouts that are held at `now`, in one statement.
pub(crate) async fn active_holds(
    conn: &impl ConnectionTrait,
    checkouts: &[CheckoutId],
    now: DateTime<Utc>,
) -> Result<Vec<Model>, DbErr> {
    let select = Entity::find().filter(Column::CheckoutId.is_in(checkouts.iter().copied()));
    select.filter(Column::State.eq(ReservationState::Held)).filter(Column::ExpiresAt.gt(now)).all(conn).await
}

/// A person's claim, with the fields that limits depend on.
#[derive(Debug, FromQueryResult)]
pub(crate) struct PersonalClaim {
    pub(crate) drop_id: DropId,
    pub(crate) drop_item_id: DropItemId,
    pub(crate) person_key: StoredPersonKey,
    pub(crate) checkout_id: CheckoutId,
    pub(crate) units: Quantity,
    pub(crate) state: ReservationState,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Returns the units of items that persons hold, have paid for, or let expire after `lapsed_after`, in one
/// statement.
pub(crate) async fn claims_of(
    conn: &impl ConnectionTrait,
    items: &[DropItemId],
    persons: &[StoredPersonKey],
    lapsed_after: DateTime<Utc>,
) -> Result<Vec<PersonalClaim>, DbErr> {
    let alive = Column::State.is_in([ReservationState::Held, ReservationState::Confirmed]);
    let lapsed = Condition::all()
        .add(Column::State.eq(ReservationState::Expired))
        .add(Column::ExpiresAt.gt(lapsed_after));
    Entity::find()
        .select_only()
        .columns([Column::DropId, Column::DropItemId, Column::PersonKey, Column::CheckoutId])
        .columns([Column::Units, Column::State, Column::ExpiresAt])
        .filter(Column::DropItemId.is_in(items.iter().copied()))
        .filter(Column::PersonKey.is_in(bulk::padded(persons.iter().cloned())))
        .filter(Condition::any().add(alive).add(lapsed))
        .into_model()
        .all(conn)
        .await
}

/// Returns the units of the items of drops that are held at `now`, and when the first hold of each item
/// expires, in one statement.
pub(crate) async fn held_units(
    conn: &impl ConnectionTrait,
    drops: &[DropId],
    now: DateTime<Utc>,
) -> Result<Vec<(DropId, DropItemId, Units, DateTime<Utc>)>, DbErr> {
    let rows: Vec<(DropId, DropItemId, BigUnits, DateTime<Utc>)> =
        held_by_item(drops, now).into_tuple().all(conn).await?;
    Ok(rows.into_iter().map(|(drop, item, held, next)| (drop, item, held.0, next)).collect())
}

/// Returns the query behind [`held_units`]: a table of `drop_id`, `drop_item_id`, `held` and `next`.
pub(crate) fn held_by_item(drops: &[DropId], now: DateTime<Utc>) -> Select<Entity> {
    Entity::find()
        .select_only()
        .column(Column::DropId)
        .column(Column::DropItemId)
        .column_as(Expr::col(Column::Units).sum().cast_as("bigint"), "held")
        .column_as(Column::ExpiresAt.min(), "next")
        .filter(Column::DropId.is_in(drops.iter().copied()))
        .filter(Column::State.eq(ReservationState::Held))
        .filter(Column::ExpiresAt.gt(now))
        .group_by(Column::DropId)
        .group_by(Column::DropItemId)
}

/// Returns the paid units of the items of drops, within the checkouts that `checkouts` selects, in one
/// statement.
pub(crate) async fn confirmed_in(
    conn: &impl ConnectionTrait,
    drops: &[DropId],
    checkouts: SelectStatement,
) -> Result<Vec<(DropItemId, u32)>, DbErr> {
    let rows: Vec<(DropItemId, BigUnits)> = Entity::find()
        .select_only()
        .column(Column::DropItemId)
        .column_as(Expr::col(Column::Units).sum().cast_as("bigint"), "paid")
        .filter(Column::DropId.is_in(drops.iter().copied()))
        .filter(Column::State.eq(ReservationState::Confirmed))
        .filter(Column::CheckoutId.in_subquery(checkouts))
        .group_by(Column::DropItemId)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(rows.into_iter().map(|(item, paid)| (item, paid.0.get())).collect())
}

/// The lines of a checkout that is about to be created.
pub(crate) struct NewLines<'a> {
    pub(crate) checkout: CheckoutId,
    pub(crate) person: &'a StoredPersonKey,
    pub(crate) quote: &'a Quote,
    pub(crate) expires_at: DateTime<Utc>,
}

impl NewLines<'_> {
    fn rows<'a>(&'a self, tx: &'a Tx) -> impl Iterator<Item = Model> + 'a {
        Position::all().zip(&self.quote.lines).map(|(position, line)| Model {
            id: tx.new_id(),
            checkout_id: self.checkout,
            position,
            drop_id: line.drop,
            drop_item_id: line.item,
            creator_id: line.creator,
            variant_id: line.variant,
            person_key: self.person.clone(),
            units: line.units,
            state: ReservationState::Held,
            expires_at: self.expires_at,
            currency: self.quote.currency,
            goods_minor: line.goods.net,
            tax_minor: line.goods.tax.saturating_add(line.shipping.tax),
            shipping_minor: line.shipping.net,
            total_minor: line.total_minor(),
            due_now_minor: line.due_now_minor,
            due_later_minor: line.due_later_minor,
            balance_due_on: Some(line.balance_due_on),
            delivery: line.delivery,
            pickup_place_id: line.pickup_place,
            version: 1,
            created_at: tx.now(),
            updated_at: tx.now(),
            confirmed_at: None,
        })
    }
}

/// Inserts the lines of new checkouts as held, in one statement. Returns each checkout's rows, in order.
pub(crate) async fn insert_held(tx: &Tx, new: &[NewLines<'_>]) -> Result<Vec<Vec<Model>>, DbErr> {
    let rows: Vec<Vec<Model>> = new.iter().map(|new| new.rows(tx).collect()).collect();
    bulk::insert_all(tx, rows.iter().flatten().cloned().map(as_new).collect::<Vec<ActiveModel>>()).await?;
    Ok(rows)
}

/// Moves lines to the states that `state::transition` returned, with one statement for each state. The gates
/// must be held.
pub(crate) async fn set_states(
    tx: &Tx,
    lines: impl IntoIterator<Item = (ReservationId, ReservationState)>,
) -> Result<(), DbErr> {
    let mut moves: BTreeMap<ReservationState, Vec<ReservationId>> = BTreeMap::new();
    lines.into_iter().for_each(|(id, state)| moves.entry(state).or_default().push(id));
    for (state, ids) in moves {
        set_state(tx, &ids, state).await?;
    }
    Ok(())
}

async fn set_state(tx: &Tx, ids: &[ReservationId], state: ReservationState) -> Result<(), DbErr> {
    let mut update = Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    if state == ReservationState::Confirmed {
        update = update.col_expr(Column::ConfirmedAt, Expr::value(tx.now()));
    }
    update.filter(Column::Id.is_in(ids.iter().copied())).exec(tx.conn()).await?;
    Ok(())
}

/// Changes when a checkout's holds expire. The gates must be held.
pub(crate) async fn set_expiry(
    tx: &Tx,
    checkout: CheckoutId,
    expires_at: DateTime<Utc>,
) -> Result<(), DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::ExpiresAt, Expr::value(expires_at))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    update
        .filter(Column::CheckoutId.eq(checkout))
        .filter(Column::State.eq(ReservationState::Held))
        .exec(tx.conn())
        .await?;
    Ok(())
}
