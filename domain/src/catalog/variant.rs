//! The `variants` table and its scoped finders.

#![expect(clippy::disallowed_methods, reason = "the variants table's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    Condition, DbErr, QueryOrder, QuerySelect, QueryTrait, Select, entity::prelude::*,
    sea_query::SelectStatement,
};

use super::{Grams, Millimetres, Sight, TaxClass, product};
use crate::platform::{
    Currency, Money, Position, Tx,
    access::CreatorScope,
    ids::{CreatorId, ProductId, VariantId},
};

/// A row of the `variants` table: a variant of a product, with its SKU.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "variants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: VariantId,
    pub product_id: ProductId,
    pub creator_id: CreatorId,
    /// The position among the variants of the product, from 0.
    pub position: Position,
    /// The SKU, unique within the creator, archived variants included.
    pub sku: String,
    pub title: String,
    /// The price of one unit, in minor units. The creator's settings decide whether it includes tax.
    pub price_minor: i64,
    pub currency: Currency,
    /// The weight of one packed unit; 0 means unknown.
    pub weight_grams: Grams,
    pub length_mm: Millimetres,
    pub width_mm: Millimetres,
    pub height_mm: Millimetres,
    pub tax_class: TaxClass,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// When the variant was archived.
    pub archived_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// Returns the price of one unit.
    pub fn price(&self) -> Money {
        Money::new(self.price_minor, self.currency)
    }
}

/// Selects the visible variants: those that are not archived, of visible products, and all variants of the
/// viewer's own creators.
pub(crate) fn in_sight(sight: &Sight) -> Select<Entity> {
    let listed = Condition::all()
        .add(Column::ArchivedAt.is_null())
        .add(Column::ProductId.in_subquery(product::ids_in_sight(sight)));
    Entity::find().filter(sight.condition(Column::CreatorId, listed))
}

/// Selects variants that visible things refer to, including archived ones.
pub(crate) fn referred(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(sight.condition(Column::CreatorId, Condition::all()))
}

/// Finds variants by id, for any viewer. The caller must have checked the ids.
pub(crate) async fn for_sale(
    conn: &impl ConnectionTrait,
    ids: &[VariantId],
) -> Result<HashMap<VariantId, Model>, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Finds a creator's variant. The caller must hold the product's lock.
pub(crate) async fn owned(tx: &Tx, scope: &CreatorScope, id: VariantId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::CreatorId.eq(scope.creator())).one(tx.conn()).await
}

/// Selects the product of a creator's variant, as a subquery.
pub(crate) fn product_of(scope: &CreatorScope, id: VariantId) -> SelectStatement {
    let select = Entity::find_by_id(id).filter(Column::CreatorId.eq(scope.creator()));
    select.select_only().column(Column::ProductId).into_query()
}

/// Counts the variants of a product, archived ones included. The caller must hold the product's lock.
pub(crate) async fn count_of(tx: &Tx, product: ProductId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::ProductId.eq(product)).count(tx.conn()).await
}

/// Returns the lowest price of a product's variants that are not archived. The caller must hold the product's
/// lock.
pub(crate) async fn price_min(tx: &Tx, product: ProductId) -> Result<Option<i64>, DbErr> {
    let select = Entity::find().filter(Column::ProductId.eq(product)).filter(Column::ArchivedAt.is_null());
    let select = select.select_only().column_as(Column::PriceMinor.min(), "price_min");
    let row: Option<Option<i64>> = select.into_tuple().one(tx.conn()).await?;
    Ok(row.flatten())
}

/// Returns whether a variant of the creator, other than `except`, has a SKU.
pub(crate) async fn sku_taken(
    tx: &Tx,
    scope: &CreatorScope,
    sku: &str,
    except: Option<VariantId>,
) -> Result<bool, DbErr> {
    let select = Entity::find().filter(Column::CreatorId.eq(scope.creator())).filter(Column::Sku.eq(sku));
    Ok(select.one(tx.conn()).await?.is_some_and(|row| Some(row.id) != except))
}

/// Finds a creator's variant by its SKU, archived or not.
pub(crate) async fn by_sku(tx: &Tx, scope: &CreatorScope, sku: &str) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::CreatorId.eq(scope.creator()))
        .filter(Column::Sku.eq(sku))
        .one(tx.conn())
        .await
}

/// Returns the variants of a creator's products that are not archived, grouped by product and in order.
pub(crate) async fn offered(
    conn: &impl ConnectionTrait,
    scope: &CreatorScope,
    products: &[ProductId],
) -> Result<HashMap<ProductId, Vec<Model>>, DbErr> {
    let select =
        Entity::find().filter(Column::CreatorId.eq(scope.creator())).filter(Column::ArchivedAt.is_null());
    let select =
        select.filter(Column::ProductId.is_in(products.iter().copied())).order_by_asc(Column::Position);
    let mut variants: HashMap<ProductId, Vec<Model>> = HashMap::new();
    for row in select.all(conn).await? {
        variants.entry(row.product_id).or_default().push(row);
    }
    Ok(variants)
}
