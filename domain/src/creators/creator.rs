//! The table of creators, with its scoped finders.

#![expect(clippy::disallowed_methods, reason = "the creators table's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    DbErr, QuerySelect, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, LockType},
};

use crate::platform::{
    Country, Currency, Inconsistency, StoreError, TimeZone, Tx,
    access::{CreatorScope, PublicScope},
    ids::CreatorId,
};

/// A tenant with its public profile.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "creators")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CreatorId,
    /// The present slug; unique in the marketplace, past ones lead here too.
    pub slug: String,
    pub name: String,
    /// What it does in one line; may be empty.
    pub tagline: String,
    /// The town or region; may be empty.
    pub place: String,
    pub country: Country,
    /// Due dates are dates there.
    pub time_zone: TimeZone,
    /// Of all its prices; fixed by its first product.
    pub currency: Currency,
    /// Whether its prices are gross.
    pub prices_include_tax: bool,
    /// As written; may be empty.
    pub story_markdown: String,
    /// Rendered and sanitised.
    pub story_html: String,
    /// Counts changes, from 1.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// What the public may see: the creators in scope.
pub(crate) fn published(scope: &PublicScope) -> Select<Entity> {
    match scope.creator() {
        Some(creator) => Entity::find().filter(Column::Id.eq(creator)),
        None => Entity::find(),
    }
}

/// The scope's own creator.
pub(crate) async fn own(conn: &impl ConnectionTrait, scope: &CreatorScope) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(scope.creator()).one(conn).await
}

/// Creators by id whoever asks: for operations that checked the ids they were led to.
pub(crate) async fn for_sale(
    conn: &impl ConnectionTrait,
    ids: &[CreatorId],
) -> Result<HashMap<CreatorId, Model>, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Takes the lock of the scope's creator by counting its version up; answers the row as it is then.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope) -> Result<Model, StoreError> {
    let update = Entity::update_many()
        .col_expr(Column::Version, ExprTrait::add(Expr::col(Column::Version), 1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    let rows = update.filter(Column::Id.eq(scope.creator())).exec_with_returning(tx.conn()).await?;
    Ok(rows.into_iter().next().ok_or_else(|| missing(scope))?)
}

/// Takes the same lock without a change: for what must not happen while the creator is changed, such as new
/// products.
pub(crate) async fn hold(tx: &Tx, scope: &CreatorScope) -> Result<Model, StoreError> {
    // Not `FOR UPDATE`: that one waits for every row that is just being made to refer to the creator.
    let row = Entity::find_by_id(scope.creator()).lock(LockType::NoKeyUpdate).one(tx.conn()).await?;
    Ok(row.ok_or_else(|| missing(scope))?)
}

/// Scopes are made for creators that exist, and creators are never deleted.
fn missing(scope: &CreatorScope) -> Inconsistency {
    Inconsistency::missing("creators", scope.creator())
}
