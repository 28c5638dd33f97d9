//! The `products` table and its scoped finders.

#![expect(clippy::disallowed_methods, reason = "the products table's own finders")]

use chrono::{DateTime, Utc};
use sea_orm::{
    Condition, DbErr, QuerySelect, QueryTrait, Select,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, SelectStatement},
};

use super::{Sight, variant};
use crate::platform::{
    Currency, EntityId, Tx,
    access::CreatorScope,
    ids::{CreatorId, ProductId, VariantId},
    slugs::{self, Slug, SlugKind},
};

/// A row of the `products` table.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "products")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProductId,
    pub creator_id: CreatorId,
    /// The current slug, unique within the creator. Past slugs lead to the product too.
    pub slug: String,
    pub title: String,
    /// A summary of one or two sentences; may be empty.
    pub summary: String,
    /// The description as written, in Markdown; may be empty.
    pub description_markdown: String,
    /// The description as rendered, sanitised HTML.
    pub description_html: String,
    /// The lowest price of a variant that is not archived, in minor units; 0 while there is none.
    pub price_min_minor: i64,
    /// The creator's currency, which cannot change once there is a product.
    pub currency: Currency,
    /// The version: starts at 1 and grows with each change of the product or its variants.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When the product was archived.
    pub archived_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// Selects the visible products: those that are not archived, and all products of the viewer's own creators.
pub(crate) fn in_sight(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(visible(sight))
}

fn visible(sight: &Sight) -> Condition {
    sight.condition(Column::CreatorId, Condition::all().add(Column::ArchivedAt.is_null()))
}

/// Selects the ids of the visible products, as a subquery.
pub(crate) fn ids_in_sight(sight: &Sight) -> SelectStatement {
    in_sight(sight).select_only().column(Column::Id).into_query()
}

/// Selects a creator's products, archived or not.
pub(crate) fn owned(scope: &CreatorScope) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator()))
}

/// Selects products that visible things refer to, including archived ones.
pub(crate) fn referred(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(sight.condition(Column::CreatorId, Condition::all()))
}

/// Finds the product that a present or past slug of a creator leads to, archived or not.
pub(crate) async fn by_slug(tx: &Tx, scope: &CreatorScope, slug: &Slug) -> Result<Option<Model>, DbErr> {
    let subject = slugs::find(tx.conn(), SlugKind::Product, scope.creator().uuid(), slug.as_str()).await?;
    let Some(subject) = subject else { return Ok(None) };
    owned(scope).filter(Column::Id.eq(subject)).one(tx.conn()).await
}

/// Locks a creator's product and increments its version. Returns the row with the new version.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope, id: ProductId) -> Result<Option<Model>, DbErr> {
    lock_where(tx, scope, Condition::all().add(Column::Id.eq(id))).await
}

/// Locks the product of a creator's variant and increments its version.
pub(crate) async fn lock_of_variant(
    tx: &Tx,
    scope: &CreatorScope,
    id: VariantId,
) -> Result<Option<Model>, DbErr> {
    let product = variant::product_of(scope, id);
    lock_where(tx, scope, Condition::all().add(Column::Id.in_subquery(product))).await
}

async fn lock_where(tx: &Tx, scope: &CreatorScope, which: Condition) -> Result<Option<Model>, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::Version, ExprTrait::add(Expr::col(Column::Version), 1))
        .col_expr(Column::UpdatedAt, Expr::value(tx.now()));
    let update = update.filter(Column::CreatorId.eq(scope.creator())).filter(which);
    Ok(update.exec_with_returning(tx.conn()).await?.into_iter().next())
}

/// Updates the lowest price of a product from its variants. The caller must hold the product's lock.
pub(crate) async fn reprice(tx: &Tx, row: &Model) -> Result<(), DbErr> {
    let price_min = variant::price_min(tx, row.id).await?.unwrap_or(0);
    if price_min != row.price_min_minor {
        let update = Entity::update_many().col_expr(Column::PriceMinMinor, Expr::value(price_min));
        update.filter(Column::Id.eq(row.id)).exec(tx.conn()).await?;
    }
    Ok(())
}
