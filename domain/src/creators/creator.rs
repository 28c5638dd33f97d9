//! The `creators` table and its scoped finders.

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

/// A row of the `creators` table: a tenant with its public profile.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "creators")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CreatorId,
    /// The current slug, unique in the marketplace. Past slugs lead to the creator too.
    pub slug: String,
    pub name: String,
    /// What the creator does, in one line; may be empty.
    pub tagline: String,
    /// The town or region; may be empty.
    pub place: String,
    pub country: Country,
    /// The time zone of due dates.
    pub time_zone: TimeZone,
    /// The currency of all its prices; fixed by its first product or drop.
    pub currency: Currency,
    /// Whether its prices include tax.
    pub prices_include_tax: bool,
    /// The story as written, in Markdown; may be empty.
    pub story_markdown: String,
    /// The story as rendered, sanitised HTML.
    pub story_html: String,
    /// The version: starts at 1 and grows with each change.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// Selects the creators in scope that the public may see.
pub(crate) fn published(scope: &PublicScope) -> Select<Entity> {
    match scope.creator() {
        Some(creator) => Entity::find().filter(Column::Id.eq(creator)),
        None => Entity::find(),
    }
}

/// Finds the scope's own creator.
pub(crate) async fn own(conn: &impl ConnectionTrait, scope: &CreatorScope) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(scope.creator()).one(conn).await
}

/// Finds creators by id, for any viewer. The caller must have checked the ids.
pub(crate) async fn for_sale(
    conn: &impl ConnectionTrait,
    ids: &[CreatorId],
) -> Result<HashMap<CreatorId, Model>, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Locks the scope's creator and increments its version. Returns the row with the new version.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope) -> Result<Model, StoreError> {
    let update = Entity::update_many()
        .col_expr(Column::Version, ExprTrait::add(Expr::col(Column::Version), 1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    let rows = update.filter(Column::Id.eq(scope.creator())).exec_with_returning(tx.conn()).await?;
    Ok(rows.into_iter().next().ok_or_else(|| missing(scope))?)
}

/// Takes the same lock without a change, to keep the creator unchanged while a product is created, for
/// example.
pub(crate) async fn hold(tx: &Tx, scope: &CreatorScope) -> Result<Model, StoreError> {
    // Not `FOR UPDATE`: it would wait for every transaction that is inserting a row that refers to the
    // creator.
    let row = Entity::find_by_id(scope.creator()).lock(LockType::NoKeyUpdate).one(tx.conn()).await?;
    Ok(row.ok_or_else(|| missing(scope))?)
}

/// Scopes are only made for existing creators, and creators are never deleted, so this is a defect.
fn missing(scope: &CreatorScope) -> Inconsistency {
    Inconsistency::missing("creators", scope.creator())
}
