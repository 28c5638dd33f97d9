//! Queries of the catalogue: lists, look-ups by id, and look-ups by present and past slugs.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter, QueryOrder, Select};

use super::{
    Product, Sight, Variant,
    product::{self, Column},
    variant,
};
use crate::platform::{
    Currency, Db, EntityId,
    access::{CreatorScope, PublicScope},
    ids::{CreatorId, ProductId, VariantId},
    page::{Page, Slice, SortKey, SortValue, count_capped, slice},
    read_in,
    slugs::{self, SlugKind},
    tags::{self, Tag, TagKind},
};

/// A range of prices in one currency, in minor units; both bounds are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PriceRange {
    /// The currency. Prices in other currencies do not match.
    pub currency: Currency,
    /// The lowest price.
    pub min_minor: Option<i64>,
    /// The highest price.
    pub max_minor: Option<i64>,
}

/// A filter on products. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ProductFilter {
    /// Products of this creator.
    pub creator: Option<CreatorId>,
    /// Products with this tag.
    pub tag: Option<Tag>,
    /// Products with a lowest price in this range. Products without a variant do not match.
    pub price: Option<PriceRange>,
}

/// The order in which products are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProductSort {
    /// Newest first.
    Newest,
    /// By the lowest price in minor units, ascending. Only meaningful within one currency.
    PriceAscending,
    /// By the lowest price in minor units, descending. Only meaningful within one currency.
    PriceDescending,
    /// By title.
    Title,
}

/// Lists the public products in scope.
pub async fn list(
    db: &Db,
    scope: &PublicScope,
    filter: &ProductFilter,
    sort: ProductSort,
    page: &Page,
) -> Result<Slice<Product>, DbErr> {
    sorted(db.reader(), filtered(product::in_sight(&Sight::public(scope)), filter), sort, page).await
}

/// Counts the products that [`list`] has in all, up to the cap.
pub async fn count(db: &Db, scope: &PublicScope, filter: &ProductFilter) -> Result<u64, DbErr> {
    count_capped(db.reader(), filtered(product::in_sight(&Sight::public(scope)), filter)).await
}

/// Lists the products of the scope's creator; with `archived`, also the archived ones.
pub async fn list_own(
    db: &Db,
    scope: &CreatorScope,
    filter: &ProductFilter,
    archived: bool,
    sort: ProductSort,
    page: &Page,
) -> Result<Slice<Product>, DbErr> {
    read_in(db, scope, async |conn| sorted(conn, filtered(own(scope, archived), filter), sort, page).await)
        .await
}

/// Counts the products that [`list_own`] has in all, up to the cap.
pub async fn count_own(
    db: &Db,
    scope: &CreatorScope,
    filter: &ProductFilter,
    archived: bool,
) -> Result<u64, DbErr> {
    read_in(db, scope, async |conn| count_capped(conn, filtered(own(scope, archived), filter)).await).await
}

fn own(scope: &CreatorScope, archived: bool) -> Select<product::Entity> {
    let select = product::owned(scope);
    if archived { select } else { select.filter(Column::ArchivedAt.is_null()) }
}

fn filtered(mut select: Select<product::Entity>, filter: &ProductFilter) -> Select<product::Entity> {
    if let Some(creator) = filter.creator {
        select = select.filter(Column::CreatorId.eq(creator));
    }
    if let Some(tag) = &filter.tag {
        select = select.filter(Column::Id.in_subquery(tags::tagged(TagKind::Product, tag)));
    }
    if let Some(price) = filter.price {
        let min = price.min_minor.unwrap_or(1).max(1);
        select = select.filter(Column::Currency.eq(price.currency)).filter(Column::PriceMinMinor.gte(min));
        if let Some(max) = price.max_minor {
            select = select.filter(Column::PriceMinMinor.lte(max));
        }
    }
    select
}

async fn sorted(
    conn: &impl ConnectionTrait,
    select: Select<product::Entity>,
    sort: ProductSort,
    page: &Page,
) -> Result<Slice<Product>, DbErr> {
    let by_time = |row: &Product| SortKey::new(SortValue::Time(row.created_at), row.id);
    let by_price = |row: &Product| SortKey::new(SortValue::Int(row.price_min_minor), row.id);
    let by_title = |row: &Product| SortKey::new(SortValue::Text(row.title.clone()), row.id);
    match sort {
        ProductSort::Newest => {
            slice(conn, select, (Column::CreatedAt, Column::Id), true, page, by_time).await
        }
        ProductSort::PriceAscending => {
            slice(conn, select, (Column::PriceMinMinor, Column::Id), false, page, by_price).await
        }
        ProductSort::PriceDescending => {
            slice(conn, select, (Column::PriceMinMinor, Column::Id), true, page, by_price).await
        }
        ProductSort::Title => slice(conn, select, (Column::Title, Column::Id), false, page, by_title).await,
    }
}

/// Returns the visible products by id, with one statement.
pub async fn by_ids(db: &Db, sight: &Sight, ids: &[ProductId]) -> Result<HashMap<ProductId, Product>, DbErr> {
    by_id(product::in_sight(sight), db, ids).await
}

/// Returns the products by id that something visible refers to (a line of a reservation, an item of a drop),
/// including archived ones, with one statement.
pub async fn referred_by_ids(
    db: &Db,
    sight: &Sight,
    ids: &[ProductId],
) -> Result<HashMap<ProductId, Product>, DbErr> {
    by_id(product::referred(sight), db, ids).await
}

async fn by_id(
    select: Select<product::Entity>,
    db: &Db,
    ids: &[ProductId],
) -> Result<HashMap<ProductId, Product>, DbErr> {
    let rows = select.filter(Column::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Returns the product that a present or past slug of a creator leads to. If the returned product has another
/// slug, the caller should redirect to it.
pub async fn by_slug(
    db: &Db,
    sight: &Sight,
    creator: CreatorId,
    slug: &str,
) -> Result<Option<Product>, DbErr> {
    let subject = slugs::find(db.reader(), SlugKind::Product, creator.uuid(), slug).await?;
    let Some(subject) = subject else { return Ok(None) };
    product::in_sight(sight).filter(Column::Id.eq(subject)).one(db.reader()).await
}

/// Returns the visible variants of products, in order, with one statement. Products without variants are left
/// out.
pub async fn variants_of(
    db: &Db,
    sight: &Sight,
    products: &[ProductId],
) -> Result<HashMap<ProductId, Vec<Variant>>, DbErr> {
    let select = variant::in_sight(sight).filter(variant::Column::ProductId.is_in(products.iter().copied()));
    let select = select.order_by_asc(variant::Column::ProductId).order_by_asc(variant::Column::Position);
    let mut variants: HashMap<ProductId, Vec<Variant>> = HashMap::new();
    for row in select.all(db.reader()).await? {
        variants.entry(row.product_id).or_default().push(row);
    }
    Ok(variants)
}

/// Returns the visible variants by id, with one statement.
pub async fn variants_by_ids(
    db: &Db,
    sight: &Sight,
    ids: &[VariantId],
) -> Result<HashMap<VariantId, Variant>, DbErr> {
    variant_by_id(variant::in_sight(sight), db, ids).await
}

/// Returns the variants by id that something visible refers to (a line of a reservation, an item of a drop),
/// including archived ones, with one statement.
pub async fn referred_variants_by_ids(
    db: &Db,
    sight: &Sight,
    ids: &[VariantId],
) -> Result<HashMap<VariantId, Variant>, DbErr> {
    variant_by_id(variant::referred(sight), db, ids).await
}

async fn variant_by_id(
    select: Select<variant::Entity>,
    db: &Db,
    ids: &[VariantId],
) -> Result<HashMap<VariantId, Variant>, DbErr> {
    let rows = select.filter(variant::Column::Id.is_in(ids.iter().copied())).all(db.reader()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}
