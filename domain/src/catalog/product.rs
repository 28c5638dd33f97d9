//! The table of products, with its scoped finders.

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

/// What is made.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "products")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ProductId,
    pub creator_id: CreatorId,
    /// The present slug; unique within the creator, past ones lead here too.
    pub slug: String,
    pub title: String,
    /// One or two sentences; may be empty.
    pub summary: String,
    /// As written; may be empty.
    pub description_markdown: String,
    /// Rendered and sanitised.
    pub description_html: String,
    /// The lowest price of a variant that is not archived, in minor units; 0 while there is none.
    pub price_min_minor: i64,
    /// The creator's, when the product was made; it is fixed since.
    pub currency: Currency,
    /// Counts changes of the product and of its variants, from 1.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Since when it is out of sight.
    pub archived_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

/// The products in sight: those not archived, and all of the viewer's own creators.
pub(crate) fn in_sight(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(visible(sight))
}

fn visible(sight: &Sight) -> Condition {
    sight.condition(Column::CreatorId, Condition::all().add(Column::ArchivedAt.is_null()))
}

/// The ids of the products in sight, as a subquery.
pub(crate) fn ids_in_sight(sight: &Sight) -> SelectStatement {
    in_sight(sight).select_only().column(Column::Id).into_query()
}

/// A creator's products, archived or not.
pub(crate) fn owned(scope: &CreatorScope) -> Select<Entity> {
    Entity::find().filter(Column::CreatorId.eq(scope.creator()))
}

/// Products that things which the viewer may see refer to: archived ones too.
pub(crate) fn referred(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(sight.condition(Column::CreatorId, Condition::all()))
}

/// A creator's product that a present or past slug leads to, archived or not.
pub(crate) async fn by_slug(tx: &Tx, scope: &CreatorScope, slug: &Slug) -> Result<Option<Model>, DbErr> {
    let subject = slugs::find(tx.conn(), SlugKind::Product, scope.creator().uuid(), slug.as_str()).await?;
    let Some(subject) = subject else { return Ok(None) };
    owned(scope).filter(Column::Id.eq(subject)).one(tx.conn()).await
}

/// Takes the lock of a creator's product by counting its version up; answers the row as it is then.
pub(crate) async fn lock(tx: &Tx, scope: &CreatorScope, id: ProductId) -> Result<Option<Model>, DbErr> {
    lock_where(tx, scope, Condition::all().add(Column::Id.eq(id))).await
}

/// Takes the lock of the product that a creator's variant belongs to.
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

/// Brings the lowest price of a product up to date with its variants; under the lock of the product.
pub(crate) async fn reprice(tx: &Tx, row: &Model) -> Result<(), DbErr> {
    let price_min = variant::price_min(tx, row.id).await?.unwrap_or(0);
    if price_min != row.price_min_minor {
        let update = Entity::update_many().col_expr(Column::PriceMinMinor, Expr::value(price_min));
        update.filter(Column::Id.eq(row.id)).exec(tx.conn()).await?;
    }
    Ok(())
}
