//! Queries of pickup places.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, DbErr, QueryFilter, Select};

use super::{
    PickupPlace,
    place_row::{self, Column, Entity},
};
use crate::platform::{
    Db,
    access::CreatorScope,
    ids::PickupPlaceId,
    page::{Page, Slice, SortKey, SortValue, count_capped, slice},
    read_in,
};

/// Lists a creator's places, newest first: those in use, or the archived ones.
pub async fn list(
    db: &Db,
    scope: &CreatorScope,
    archived: bool,
    page: &Page,
) -> Result<Slice<PickupPlace>, DbErr> {
    let key = |row: &PickupPlace| SortKey::new(SortValue::Time(row.created_at), row.id);
    read_in(db, scope, async |conn| {
        slice(conn, chosen(scope, archived), (Column::CreatedAt, Column::Id), true, page, key).await
    })
    .await
}

/// Counts the places that [`list`] has in all, up to the cap.
pub async fn count(db: &Db, scope: &CreatorScope, archived: bool) -> Result<u64, DbErr> {
    read_in(db, scope, async |conn| count_capped(conn, chosen(scope, archived)).await).await
}

fn chosen(scope: &CreatorScope, archived: bool) -> Select<Entity> {
    let archived = if archived { Column::ArchivedAt.is_not_null() } else { Column::ArchivedAt.is_null() };
    place_row::owned(scope).filter(archived)
}

/// Returns the places that reservations and quotes in the caller's scope refer to, with one statement.
pub async fn referred(db: &Db, ids: &[PickupPlaceId]) -> Result<HashMap<PickupPlaceId, PickupPlace>, DbErr> {
    let rows = place_row::all().filter(Column::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}
