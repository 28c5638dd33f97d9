//! Applies a row by the operations of the catalogue. Products are matched by slug and variants by SKU. Only
//! fields that differ are changed.

use std::str::FromStr;

use super::{Complaint, ComplaintCode as Code, RowOutcome};
use crate::{
    catalog::{
        CreateProduct, CreateVariant, Grams, Millimetres, Product, ProductTitle, Sku, Summary, TaxClass,
        UpdateProduct, UpdateVariant, Variant, VariantTitle,
        create_product::create_product_in,
        create_variant::create_variant_in,
        product,
        sheet::{Cells, Column},
        update_product::update_product_in,
        update_variant::update_variant_in,
        variant,
    },
    platform::{
        Currency, Inconsistency, Money, OpError, StoreError, Tx,
        access::CreatorScope,
        ids::{ProductId, VariantId},
        slugs::Slug,
        tags::{self, Tag, TagKind, Tags},
        text::Markdown,
    },
};

/// The context in which rows are applied.
pub(super) struct RowContext<'a> {
    pub(super) tx: &'a Tx,
    pub(super) scope: &'a CreatorScope,
    pub(super) currency: Currency,
    /// The number of products that earlier transactions of a dry run would have created.
    pub(super) products_rehearsed: u64,
}

/// The outcome of a row.
#[derive(Default)]
pub(super) struct Applied {
    pub(super) product: Option<RowOutcome>,
    pub(super) variant: Option<RowOutcome>,
    pub(super) product_id: Option<ProductId>,
    pub(super) variant_id: Option<VariantId>,
    pub(super) complaints: Vec<Complaint>,
}

impl Applied {
    /// Returns a parsed cell, or adds a complaint if it could not be parsed.
    fn take<T, E: ToString>(&mut self, column: Column, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|why| self.complaints.push(Complaint::invalid(column, why))).ok()
    }

    fn require(&mut self, column: Column) {
        self.complaints.push(Complaint::of(Code::Required, column));
    }

    /// Returns the result of an operation. Turns a refusal into complaints; passes on errors of the store.
    fn settle<T, R: Copy + Into<Code> + std::fmt::Debug>(
        &mut self,
        done: Result<T, OpError<R>>,
    ) -> Result<Option<T>, StoreError> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(OpError::Refused(why)) => {
                self.complaints.extend(why.iter().map(Complaint::refused));
                Ok(None)
            }
            Err(OpError::Db(error)) => Err(StoreError::Db(error)),
            Err(OpError::Inconsistent(inconsistency)) => Err(inconsistency.into()),
            // Operations of the catalogue are never queued, so they are never refused as busy.
            Err(busy @ OpError::Busy(_)) => Err(Inconsistency::new(busy).into()),
        }
    }
}

/// Updates or creates the product of a product's first row. Returns `None` if that is refused.
pub(super) async fn apply_product(
    context: &RowContext<'_>,
    cells: &Cells,
    applied: &mut Applied,
) -> Result<Option<Product>, StoreError> {
    applied.product = Some(RowOutcome::Refused);
    if applied.complaints.iter().any(|complaint| complaint.code == Code::SlugRepeated) {
        return Ok(None);
    }
    let before = applied.complaints.len();
    let own_slug = cells.filled(Column::Slug).map(|slug| slug.parse::<Slug>());
    let own_slug = own_slug.and_then(|slug| {
        let why = "is not a slug: 2 to 80 of a-z, 0-9 and single inner hyphens; neither a bare number nor \
                   a reserved word";
        applied.take(Column::Slug, slug.map_err(|()| why))
    });
    let title = cells.filled(Column::Title).map(ProductTitle::new);
    let title = title.and_then(|title| applied.take(Column::Title, title));
    let summary =
        cells.raw(Column::Summary).map(|_| cells.filled(Column::Summary).map(Summary::new).transpose());
    let summary = summary.and_then(|summary| applied.take(Column::Summary, summary));
    let description = cells.raw(Column::Description).map(Markdown::new);
    let description = description.and_then(|description| applied.take(Column::Description, description));
    let tags = cells.raw(Column::Tags).map(read_tags);
    let tags = tags.and_then(|tags| applied.take(Column::Tags, tags));
    if applied.complaints.len() > before {
        return Ok(None);
    }
    let slug = own_slug.clone().or_else(|| title.as_ref().and_then(|title| Slug::from_title(title.as_str())));
    let known = match &slug {
        Some(slug) => product::by_slug(context.tx, context.scope, slug).await?,
        None => None,
    };
    let product = match known {
        Some(known) => {
            let present = tags::tags_on(context.tx.conn(), TagKind::Product, &[known.id])
                .await?
                .remove(&known.id)
                .unwrap_or_default();
            let request = UpdateProduct {
                title: title.filter(|title| title.as_str() != known.title),
                summary: summary
                    .filter(|summary| summary.as_ref().map_or("", Summary::as_str) != known.summary),
                description: description
                    .filter(|description| description.source() != known.description_markdown),
                tags: tags.filter(|tags| **tags != *present),
                ..UpdateProduct::of(known.id)
            };
            update(context, known, request, applied).await?
        }
        None => {
            let Some(title) = title else {
                applied.require(Column::Title);
                return Ok(None);
            };
            let description =
                applied.take(Column::Description, description.map_or_else(|| Markdown::new(""), Ok));
            let Some(description) = description else { return Ok(None) };
            let (summary, tags) = (summary.flatten(), tags.unwrap_or_default());
            let request = CreateProduct { slug: own_slug, title, summary, description, tags };
            let made = context
                .tx
                .in_savepoint(async || {
                    create_product_in(context.tx, context.scope, request, context.products_rehearsed).await
                })
                .await;
            let made = applied.settle(made)?;
            applied.product = made.as_ref().map(|_| RowOutcome::Created).or(applied.product);
            made
        }
    };
    applied.product_id = product.as_ref().map(|product| product.id);
    Ok(product)
}

async fn update(
    context: &RowContext<'_>,
    known: Product,
    request: UpdateProduct,
    applied: &mut Applied,
) -> Result<Option<Product>, StoreError> {
    let same = request.title.is_none()
        && request.summary.is_none()
        && request.description.is_none()
        && request.tags.is_none();
    if same {
        applied.product = Some(RowOutcome::Unchanged);
        return Ok(Some(known));
    }
    let done = applied.settle(
        context.tx.in_savepoint(async || update_product_in(context.tx, context.scope, request).await).await,
    )?;
    if done.is_some() {
        applied.product = Some(RowOutcome::Updated);
    }
    Ok(done)
}

fn read_tags(cell: &str) -> Result<Tags, tags::TagError> {
    let words = cell
        .split(|sign: char| sign.is_whitespace() || matches!(sign, ',' | ';'))
        .filter(|word| !word.is_empty());
    Tags::new(words.map(Tag::from_str).collect::<Result<_, _>>()?)
}

/// The variant's columns, as far as the row fills them.
struct VariantColumns {
    sku: Option<Sku>,
    title: Option<VariantTitle>,
    price: Option<Money>,
    weight: Option<Grams>,
    length: Option<Millimetres>,
    width: Option<Millimetres>,
    height: Option<Millimetres>,
    tax_class: Option<TaxClass>,
}

impl VariantColumns {
    fn read(cells: &Cells, currency: Currency, applied: &mut Applied) -> Self {
        let mut whole = |column| {
            let number =
                cells.filled(column).map(|cell| cell.parse::<i32>().map_err(|_| "must be a whole number"));
            number.and_then(|number| applied.take(column, number))
        };
        let weight = whole(Column::WeightGrams);
        let [length, width, height] =
            [Column::LengthMm, Column::WidthMm, Column::HeightMm].map(|side| (side, whole(side)));
        let weight = weight.and_then(|weight| applied.take(Column::WeightGrams, Grams::try_from(weight)));
        let [length, width, height] = [length, width, height]
            .map(|(column, side)| side.and_then(|side| applied.take(column, Millimetres::try_from(side))));
        let currency = match cells.filled(Column::Currency) {
            Some(code) => applied.take(Column::Currency, Currency::from_code(code)),
            None => Some(currency),
        };
        let price = cells
            .filled(Column::Price)
            .zip(currency)
            .map(|(amount, currency)| Money::parse(amount, currency));
        let sku = cells.filled(Column::Sku).map(Sku::from_str);
        let title = cells.filled(Column::VariantTitle).map(VariantTitle::new);
        let class = cells.filled(Column::TaxClass).map(read_class);
        Self {
            sku: sku.and_then(|sku| applied.take(Column::Sku, sku)),
            title: title.and_then(|title| applied.take(Column::VariantTitle, title)),
            price: price.and_then(|price| applied.take(Column::Price, price)),
            weight,
            length,
            width,
            height,
            tax_class: class.and_then(|class| applied.take(Column::TaxClass, class)),
        }
    }
}

fn read_class(cell: &str) -> Result<TaxClass, &'static str> {
    match cell.to_ascii_uppercase().as_str() {
        "STANDARD" => Ok(TaxClass::Standard),
        "REDUCED" => Ok(TaxClass::Reduced),
        "BOOKS" => Ok(TaxClass::Books),
        "FOOD" => Ok(TaxClass::Food),
        "ZERO" => Ok(TaxClass::Zero),
        _ => Err("must be STANDARD, REDUCED, BOOKS, FOOD or ZERO"),
    }
}

/// Updates or creates the variant of a row. A row without variant columns only describes its product. `head`
/// has the cells of the product's first row if this is a later one.
pub(super) async fn apply_variant(
    context: &RowContext<'_>,
    cells: &Cells,
    head: Option<&Cells>,
    product: Option<&Product>,
    too_many: bool,
    applied: &mut Applied,
) -> Result<(), StoreError> {
    let before = applied.complaints.len();
    if let Some(head) = head {
        let differs =
            |column: &&Column| cells.filled(**column).is_some_and(|cell| head.filled(**column) != Some(cell));
        for column in Column::ALL.iter().filter(|column| column.describes_product()).filter(differs) {
            applied.complaints.push(Complaint::of(Code::ProductDiffers, *column));
        }
    }
    if !Column::ALL.iter().any(|column| column.describes_variant() && cells.filled(*column).is_some()) {
        return Ok(());
    }
    applied.variant = Some(RowOutcome::Refused);
    if applied
        .complaints
        .iter()
        .any(|complaint| matches!(complaint.code, Code::SlugRepeated | Code::SkuRepeated))
    {
        return Ok(());
    }
    let asked = VariantColumns::read(cells, context.currency, applied);
    if cells.filled(Column::Sku).is_none() {
        applied.require(Column::Sku);
    }
    if too_many {
        applied
            .complaints
            .push(Complaint { column: None, ..Complaint::of(Code::TooManyVariants, Column::Sku) });
    } else if product.is_none() {
        applied
            .complaints
            .push(Complaint { column: None, ..Complaint::of(Code::ProductRefused, Column::Slug) });
    }
    let (Some(product), Some(sku)) = (product, asked.sku.clone()) else { return Ok(()) };
    if applied.complaints.len() > before {
        return Ok(());
    }
    let done = match variant::by_sku(context.tx, context.scope, sku.as_str()).await? {
        Some(known) if known.product_id != product.id => {
            applied.complaints.push(Complaint::of(Code::SkuTaken, Column::Sku));
            None
        }
        Some(known) => change(context, known, asked, applied).await?,
        None => create(context, product, sku, asked, applied).await?,
    };
    if let Some((outcome, variant)) = done {
        (applied.variant, applied.variant_id) = (Some(outcome), Some(variant));
    }
    Ok(())
}

async fn change(
    context: &RowContext<'_>,
    known: Variant,
    asked: VariantColumns,
    applied: &mut Applied,
) -> Result<Option<(RowOutcome, VariantId)>, StoreError> {
    let id = known.id;
    let side = |asked: Option<Millimetres>, known| asked.filter(|side| *side != known);
    let request = UpdateVariant {
        title: asked.title.filter(|title| title.as_str() != known.title),
        price: asked.price.filter(|price| *price != known.price()),
        weight: asked.weight.filter(|weight| *weight != known.weight_grams),
        length: side(asked.length, known.length_mm),
        width: side(asked.width, known.width_mm),
        height: side(asked.height, known.height_mm),
        tax_class: asked.tax_class.filter(|class| *class != known.tax_class),
        ..UpdateVariant::of(id)
    };
    let UpdateVariant { variant: _, sku: _, title, price, weight, length, width, height, tax_class } =
        &request;
    let sides = length.is_none() && width.is_none() && height.is_none();
    if title.is_none() && price.is_none() && weight.is_none() && sides && tax_class.is_none() {
        return Ok(Some((RowOutcome::Unchanged, id)));
    }
    let done = applied.settle(
        context.tx.in_savepoint(async || update_variant_in(context.tx, context.scope, request).await).await,
    )?;
    Ok(done.map(|variant| (RowOutcome::Updated, variant.id)))
}

async fn create(
    context: &RowContext<'_>,
    product: &Product,
    sku: Sku,
    asked: VariantColumns,
    applied: &mut Applied,
) -> Result<Option<(RowOutcome, VariantId)>, StoreError> {
    if asked.title.is_none() {
        applied.require(Column::VariantTitle);
    }
    if asked.price.is_none() {
        applied.require(Column::Price);
    }
    let (Some(title), Some(price)) = (asked.title, asked.price) else { return Ok(None) };
    let request = CreateVariant {
        product: product.id,
        sku,
        title,
        price,
        weight: asked.weight.unwrap_or_default(),
        length: asked.length.unwrap_or_default(),
        width: asked.width.unwrap_or_default(),
        height: asked.height.unwrap_or_default(),
        tax_class: asked.tax_class.unwrap_or(TaxClass::Standard),
    };
    let made = applied.settle(
        context.tx.in_savepoint(async || create_variant_in(context.tx, context.scope, request).await).await,
    )?;
    Ok(made.map(|variant| (RowOutcome::Created, variant.id)))
}
