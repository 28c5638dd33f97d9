//! Reads of the catalogue: lists, loaders, and slugs present and past.

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

/// Prices of one currency, bounds included, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PriceRange {
    /// Prices of different currencies are not compared.
    pub currency: Currency,
    /// At least.
    pub min_minor: Option<i64>,
    /// At most.
    pub max_minor: Option<i64>,
}

/// Which products are listed; all conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ProductFilter {
    /// Of one creator.
    pub creator: Option<CreatorId>,
    /// With a tag.
    pub tag: Option<Tag>,
    /// Whose lowest price is in a range; products without a variant have none.
    pub price: Option<PriceRange>,
}

/// In which order products are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProductSort {
    /// Those made last first.
    Newest,
    /// The cheapest first, by the number of minor units: filter by currency.
    PriceAscending,
    /// The dearest first, by the number of minor units: filter by currency.
    PriceDescending,
    /// By title.
    Title,
}

/// The public products in scope.
pub async fn list(
    db: &Db,
    scope: &PublicScope,
    filter: &ProductFilter,
    sort: ProductSort,
    page: &Page,
) -> Result<Slice<Product>, DbErr> {
    sorted(db.reader(), filtered(product::in_sight(&Sight::public(scope)), filter), sort, page).await
}

/// How many products [`list`] has in all, up to the cap of counts.
pub async fn count(db: &Db, scope: &PublicScope, filter: &ProductFilter) -> Result<u64, DbErr> {
    count_capped(db.reader(), filtered(product::in_sight(&Sight::public(scope)), filter)).await
}

/// The products of the scope's creator; archived ones too if asked for.
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

/// How many products [`list_own`] has in all, up to the cap of counts.
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

/// Products by id, those in sight, with one statement.
pub async fn by_ids(db: &Db, sight: &Sight, ids: &[ProductId]) -> Result<HashMap<ProductId, Product>, DbErr> {
    by_id(product::in_sight(sight), db, ids).await
}

/// Products that something in sight refers to (a line of a reservation, an item of a drop), archived
/// ones too, with one statement.
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

/// The creator's product that a present or past slug leads to. With a past one the answer's own slug is
/// another: redirect to that.
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

/// The variants in sight of many products, in their order, with one statement; products without any are
/// absent.
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

/// Variants by id, those in sight, with one statement.
pub async fn variants_by_ids(
    db: &Db,
    sight: &Sight,
    ids: &[VariantId],
) -> Result<HashMap<VariantId, Variant>, DbErr> {
    variant_by_id(variant::in_sight(sight), db, ids).await
}

/// Variants that something in sight refers to (a line of a reservation, an item of a drop), archived
/// ones too, with one statement.
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
