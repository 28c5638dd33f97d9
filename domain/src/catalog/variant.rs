//! The table of variants, with its scoped finders.

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

/// The orderable SKU.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "variants")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: VariantId,
    pub product_id: ProductId,
    pub creator_id: CreatorId,
    /// Its place among the variants of its product, from 0.
    pub position: Position,
    /// Unique within the creator, archived or not.
    pub sku: String,
    pub title: String,
    /// The price of one unit, in minor units, gross or net as the creator's prices are.
    pub price_minor: i64,
    pub currency: Currency,
    /// Of one unit, packed; 0 is unknown.
    pub weight_grams: Grams,
    pub length_mm: Millimetres,
    pub width_mm: Millimetres,
    pub height_mm: Millimetres,
    pub tax_class: TaxClass,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Since when it is out of sight.
    pub archived_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The price of one unit.
    pub fn price(&self) -> Money {
        Money::new(self.price_minor, self.currency)
    }
}

/// The variants in sight: those neither archived nor of an archived product, and all of the viewer's own
/// creators.
pub(crate) fn in_sight(sight: &Sight) -> Select<Entity> {
    let listed = Condition::all()
        .add(Column::ArchivedAt.is_null())
        .add(Column::ProductId.in_subquery(product::ids_in_sight(sight)));
    Entity::find().filter(sight.condition(Column::CreatorId, listed))
}

/// Variants that things which the viewer may see refer to: archived ones too.
pub(crate) fn referred(sight: &Sight) -> Select<Entity> {
    Entity::find().filter(sight.condition(Column::CreatorId, Condition::all()))
}

/// Variants by id whoever asks: for operations that checked the ids they were led to.
pub(crate) async fn for_sale(
    conn: &impl ConnectionTrait,
    ids: &[VariantId],
) -> Result<HashMap<VariantId, Model>, DbErr> {
    let rows = Entity::find().filter(Column::Id.is_in(ids.iter().copied())).all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// A creator's variant; under the lock of its product.
pub(crate) async fn owned(tx: &Tx, scope: &CreatorScope, id: VariantId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::CreatorId.eq(scope.creator())).one(tx.conn()).await
}

/// The product of a creator's variant, as a subquery.
pub(crate) fn product_of(scope: &CreatorScope, id: VariantId) -> SelectStatement {
    let select = Entity::find_by_id(id).filter(Column::CreatorId.eq(scope.creator()));
    select.select_only().column(Column::ProductId).into_query()
}

/// How many variants a product has, archived ones included; under the lock of the product.
pub(crate) async fn count_of(tx: &Tx, product: ProductId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::ProductId.eq(product)).count(tx.conn()).await
}

/// The lowest price among the variants of a product that are not archived; under the lock of the product.
pub(crate) async fn price_min(tx: &Tx, product: ProductId) -> Result<Option<i64>, DbErr> {
    let select = Entity::find().filter(Column::ProductId.eq(product)).filter(Column::ArchivedAt.is_null());
    let select = select.select_only().column_as(Column::PriceMinor.min(), "price_min");
    let row: Option<Option<i64>> = select.into_tuple().one(tx.conn()).await?;
    Ok(row.flatten())
}

/// Whether a creator's other variant has a SKU.
pub(crate) async fn sku_taken(
    tx: &Tx,
    scope: &CreatorScope,
    sku: &str,
    except: Option<VariantId>,
) -> Result<bool, DbErr> {
    let select = Entity::find().filter(Column::CreatorId.eq(scope.creator())).filter(Column::Sku.eq(sku));
    Ok(select.one(tx.conn()).await?.is_some_and(|row| Some(row.id) != except))
}

/// A creator's variant by its SKU, archived or not.
pub(crate) async fn by_sku(tx: &Tx, scope: &CreatorScope, sku: &str) -> Result<Option<Model>, DbErr> {
    Entity::find()
        .filter(Column::CreatorId.eq(scope.creator()))
        .filter(Column::Sku.eq(sku))
        .one(tx.conn())
        .await
}

/// The variants of a creator's products that are not archived, by product and in their order.
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
