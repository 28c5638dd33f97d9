//! The `pickup_places` table and its scoped finders.

#![expect(clippy::disallowed_methods, reason = "the table's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, PaginatorTrait, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait},
};

use crate::platform::{
    Country, Tx,
    access::CreatorScope,
    ids::{CreatorId, PickupPlaceId},
};

/// A row of the `pickup_places` table.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "pickup_places")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PickupPlaceId,
    pub creator_id: CreatorId,
    /// The name, which the public sees.
    pub name: String,
    /// The street and number.
    pub line1: String,
    pub line2: Option<String>,
    pub postal_code: Option<String>,
    /// The city or town, which the public sees.
    pub city: String,
    /// The country, whose tax applies to what is picked up here. It never changes.
    pub country: Country,
    /// The opening hours, in words.
    pub hours: Option<String>,
    /// A note for those who come.
    pub note: Option<String>,
    /// The version: starts at 1 and grows with each change.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When the place was archived: no further drop can offer it.
    pub archived_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// Selects all places; callers narrow the selection to what the viewer may see.
pub(crate) fn all() -> Select<Entity> {
    Entity::find()
}

/// Selects a creator's places.
pub(crate) fn owned(scope: &CreatorScope) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator()))
}

/// Counts a creator's places that are not archived.
pub(crate) async fn count_open(conn: &impl ConnectionTrait, scope: &CreatorScope) -> Result<u64, DbErr> {
    owned(scope).filter(Column::ArchivedAt.is_null()).count(conn).await
}

/// Finds a creator's places by id, with one statement.
pub(crate) async fn own_by_ids(
    conn: &impl ConnectionTrait,
    scope: &CreatorScope,
    ids: &[PickupPlaceId],
) -> Result<HashMap<PickupPlaceId, Model>, DbErr> {
    let rows = owned(scope).filter(Column::Id.is_in(ids.iter().copied())).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Locks a creator's place and increments its version. Returns the row with the new version.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope, id: PickupPlaceId) -> Result<Option<Model>, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::Version, Expr::col(Column::Version).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    let update = update.filter(Column::Id.eq(id)).filter(Column::CreatorId.eq(scope.creator()));
    Ok(update.exec_with_returning(tx.conn()).await?.into_iter().next())
}
