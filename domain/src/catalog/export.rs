//! Exports a creator's catalogue as a sheet that can be imported again. The sheet has everything that is not
//! archived, in the order of creation.

use sea_orm::{ColumnTrait, DbErr, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Product, Variant, product,
    sheet::{Cells, Column, SheetWriter},
    variant,
};
use crate::platform::{
    Db,
    access::CreatorScope,
    export::{ExportError, ExportPart},
    ids::ProductId,
    read_in,
    tags::{self, Tag, TagKind},
};

/// The number of products that are read and written at once.
const PRODUCTS_AT_ONCE: u64 = 100;

/// Writes the part of a creator's catalogue that follows the product `after`. Without `after`, writes the
/// first part, with the header. Parts are read one by one, so that a catalogue of any size takes little
/// memory. A change during an export may or may not be in the sheet.
pub async fn export_part(
    db: &Db,
    scope: &CreatorScope,
    after: Option<ProductId>,
) -> Result<ExportPart<ProductId>, ExportError> {
    let select = product::owned(scope).filter(product::Column::ArchivedAt.is_null());
    let select = match after {
        // Ids grow with time (UUIDv7).
        Some(after) => select.filter(product::Column::Id.gt(after)),
        None => select,
    };
    let select = select.order_by_asc(product::Column::Id).limit(PRODUCTS_AT_ONCE);
    let (products, mut variants, mut tags) = read_in::<_, DbErr, _>(db, scope, async |conn| {
        let products = select.all(conn).await?;
        let ids: Vec<ProductId> = products.iter().map(|product| product.id).collect();
        let variants = variant::offered(conn, scope, &ids).await?;
        Ok((products, variants, tags::tags_on(conn, TagKind::Product, &ids).await?))
    })
    .await?;
    let last = products.last().map(|product| product.id);
    let full = u64::try_from(products.len()).is_ok_and(|count| count == PRODUCTS_AT_ONCE);
    let mut writer = SheetWriter::new();
    if after.is_none() {
        writer.header()?;
    }
    for product in products {
        let (variants, tags) =
            (variants.remove(&product.id).unwrap_or_default(), tags.remove(&product.id).unwrap_or_default());
        for cells in rows_of(product, &tags, &variants) {
            writer.row(&cells)?;
        }
    }
    Ok(ExportPart { bytes: writer.bytes()?, after: last.filter(|_| full) })
}

/// Returns the rows of a product. The first row has the product's own columns; each variant has one row.
fn rows_of(product: Product, tags: &[Tag], variants: &[Variant]) -> Vec<Cells> {
    let mut rows: Vec<Cells> = variants.iter().map(|variant| Cells(variant_cells(variant))).collect();
    if rows.is_empty() {
        rows.push(Cells::default());
    }
    for row in &mut rows {
        row.0.insert(Column::Slug, product.slug.clone());
    }
    if let Some(first) = rows.first_mut() {
        let tags = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
        let Product { title, summary, description_markdown, .. } = product;
        let said = [
            (Column::Title, title),
            (Column::Summary, summary),
            (Column::Description, description_markdown),
            (Column::Tags, tags),
        ];
        first.0.extend(said);
    }
    rows
}

fn variant_cells(variant: &Variant) -> std::collections::BTreeMap<Column, String> {
    let price = variant.price();
    let class = sea_orm::ActiveEnum::to_value(&variant.tax_class);
    [
        (Column::Sku, variant.sku.clone()),
        (Column::VariantTitle, variant.title.clone()),
        (Column::Price, price.amount()),
        (Column::Currency, price.currency.code().to_owned()),
        (Column::WeightGrams, variant.weight_grams.to_string()),
        (Column::LengthMm, variant.length_mm.to_string()),
        (Column::WidthMm, variant.width_mm.to_string()),
        (Column::HeightMm, variant.height_mm.to_string()),
        (Column::TaxClass, class),
    ]
    .into()
}
