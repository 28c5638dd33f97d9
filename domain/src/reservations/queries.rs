//! Queries for checkouts and reservations: a buyer's checkouts, and the lines of a creator's drops.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, DbErr, QueryFilter, QuerySelect, QueryTrait};

use super::{
    checkout_row::{self, AddressView, Model as Checkout},
    reservation_row::{self, Model as Reservation},
    state::ReservationState,
};
use crate::{
    payments,
    platform::{
        Db,
        access::{BuyerScope, CreatorScope, SystemScope},
        ids::{CheckoutId, DropId, PickupPlaceId, ReservationId},
        page::{Page, Slice, SortKey, SortValue, count_capped, slice},
        read_in,
    },
};

/// Returns a page of a buyer's checkouts, newest first.
pub async fn checkouts(db: &Db, scope: &BuyerScope, page: &Page) -> Result<Slice<Checkout>, DbErr> {
    use checkout_row::Column as C;
    let key = |row: &Checkout| SortKey::new(SortValue::Time(row.created_at), row.id);
    slice(db.reader(), checkout_row::of_buyer(scope), (C::CreatedAt, C::Id), true, page, key).await
}

/// Counts a buyer's checkouts, up to a cap.
pub async fn checkouts_count(db: &Db, scope: &BuyerScope) -> Result<u64, DbErr> {
    count_capped(db.reader(), checkout_row::of_buyer(scope)).await
}

/// Returns one checkout of a buyer.
pub async fn checkout(db: &Db, scope: &BuyerScope, id: CheckoutId) -> Result<Option<Checkout>, DbErr> {
    checkout_row::own(db.reader(), scope, id).await
}

/// Returns a buyer's checkouts by id, in one statement.
pub async fn checkouts_by_ids(
    db: &Db,
    scope: &BuyerScope,
    ids: &[CheckoutId],
) -> Result<HashMap<CheckoutId, Checkout>, DbErr> {
    let select = checkout_row::of_buyer(scope).filter(checkout_row::Column::Id.is_in(ids.iter().copied()));
    Ok(select.all(db.reader()).await?.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns the lines of checkouts, in one statement. The caller must have found the checkouts within its own
/// scope.
pub async fn lines_of(
    db: &Db,
    checkouts: &[CheckoutId],
) -> Result<HashMap<CheckoutId, Vec<Reservation>>, DbErr> {
    let mut lines: HashMap<CheckoutId, Vec<Reservation>> = HashMap::new();
    for row in reservation_row::of_checkouts(db.reader(), checkouts).await? {
        lines.entry(row.checkout_id).or_default().push(row);
    }
    Ok(lines)
}

/// Returns the addresses of a buyer's checkouts, in one statement. The caller must have found the checkouts
/// within its own scope.
pub async fn addresses_of(
    db: &Db,
    checkouts: &[CheckoutId],
) -> Result<HashMap<CheckoutId, AddressView>, DbErr> {
    checkout_row::addresses(db.reader(), checkouts).await
}

/// Returns a buyer's reservations by id. Reservations of other buyers are absent.
pub async fn own_reservations(
    db: &Db,
    scope: &BuyerScope,
    ids: &[ReservationId],
) -> Result<HashMap<ReservationId, Reservation>, DbErr> {
    let rows = reservation_row::by_ids(db.reader(), ids).await?;
    let checkouts: Vec<CheckoutId> = rows.iter().map(|row| row.checkout_id).collect();
    let own = checkouts_by_ids(db, scope, &checkouts).await?;
    Ok(rows.into_iter().filter(|row| own.contains_key(&row.checkout_id)).map(|row| (row.id, row)).collect())
}

/// Returns those of the given pickup places whose address the buyer may see, because the deposit of a
/// reservation that is picked up there is paid.
pub async fn open_places(
    db: &Db,
    scope: &BuyerScope,
    places: &[PickupPlaceId],
) -> Result<Vec<PickupPlaceId>, DbErr> {
    let own = checkout_row::of_buyer(scope).select_only().column(checkout_row::Column::Id).into_query();
    reservation_row::paid_places(db.reader(), own, places).await
}

/// A filter of a creator's reservations.
#[derive(Debug, Clone, Default)]
pub struct ReservationFilter {
    /// Only reservations in this drop.
    pub drop: Option<DropId>,
    /// Only reservations in these states.
    pub states: Option<Vec<ReservationState>>,
    /// Only reservations made at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Only reservations made before this time.
    pub until: Option<DateTime<Utc>>,
}

fn of_creator(scope: &CreatorScope, filter: &ReservationFilter) -> sea_orm::Select<reservation_row::Entity> {
    use reservation_row::Column as C;
    let mut select = reservation_row::of_creator(scope);
    if let Some(drop) = filter.drop {
        select = select.filter(C::DropId.eq(drop));
    }
    if let Some(states) = &filter.states {
        select = select.filter(C::State.is_in(states.iter().copied()));
    }
    if let Some(since) = filter.since {
        select = select.filter(C::CreatedAt.gte(since));
    }
    if let Some(until) = filter.until {
        select = select.filter(C::CreatedAt.lt(until));
    }
    select
}

/// Returns a page of a creator's reservations, newest first.
pub async fn reservations(
    db: &Db,
    scope: &CreatorScope,
    filter: &ReservationFilter,
    page: &Page,
) -> Result<Slice<Reservation>, DbErr> {
    use reservation_row::Column as C;
    let key = |row: &Reservation| SortKey::new(SortValue::Time(row.created_at), row.id);
    read_in(db, scope, async |conn| {
        slice(conn, of_creator(scope, filter), (C::CreatedAt, C::Id), true, page, key).await
    })
    .await
}

/// Returns one of a creator's reservations.
pub async fn reservation(
    db: &Db,
    scope: &CreatorScope,
    id: ReservationId,
) -> Result<Option<Reservation>, DbErr> {
    let own = reservation_row::of_creator(scope).filter(reservation_row::Column::Id.eq(id));
    read_in(db, scope, async |conn| own.one(conn).await).await
}

/// Counts a creator's reservations, up to a cap.
pub async fn reservations_count(
    db: &Db,
    scope: &CreatorScope,
    filter: &ReservationFilter,
) -> Result<u64, DbErr> {
    read_in(db, scope, async |conn| count_capped(conn, of_creator(scope, filter)).await).await
}

/// Returns a checkout with its lines, for the letters about it. While a choice of payment waits in our own
/// queue, the deadline stands still. In that case, `expires_at` is the deadline that applies if the payment
/// fails.
pub async fn for_letter(
    db: &Db,
    _scope: &SystemScope,
    id: CheckoutId,
) -> Result<Option<(Checkout, Vec<Reservation>)>, DbErr> {
    let Some(mut checkout) = checkout_row::by_id(db.reader(), id).await? else { return Ok(None) };
    let lines = reservation_row::of_checkouts(db.reader(), &[id]).await?;
    if let Some(payment) = payments::of_checkouts(db, &[id]).await?.get(&id) {
        checkout.expires_at = payment.hold_would_end_at().unwrap_or(checkout.expires_at);
    }
    Ok(Some((checkout, lines)))
}
