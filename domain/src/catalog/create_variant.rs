//! Adds a variant to a product.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, SqlErr};

use super::{
    Grams, Millimetres, Sku, TaxClass, Variant, VariantTitle,
    policy::{PriceError, VARIANTS_MAX, check_price},
    product::{self, reprice},
    variant::{self, ActiveModel},
};
use crate::platform::{
    Db, Money, OpError, Position, Refused, Tx,
    access::CreatorScope,
    audit,
    facts::Fact,
    ids::{ProductId, VariantId},
    in_tx, outbox,
};

/// A request to add a variant.
#[derive(Debug, Clone)]
pub struct CreateVariant {
    /// The product.
    pub product: ProductId,
    /// The creator's SKU for the variant.
    pub sku: Sku,
    /// What distinguishes the variant.
    pub title: VariantTitle,
    /// The price of one unit, in the creator's currency.
    pub price: Money,
    /// The weight of one unit, packed.
    pub weight: Grams,
    /// The longest side of the parcel.
    pub length: Millimetres,
    /// The second side of the parcel.
    pub width: Millimetres,
    /// The third side of the parcel.
    pub height: Millimetres,
    /// The tax class, which decides the tax rate.
    pub tax_class: TaxClass,
}

/// The reasons to refuse to add a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CreateVariantRefusal {
    /// The creator has no such product.
    #[error("not found")]
    NotFound,
    /// Another variant of the creator, possibly an archived one, has this SKU.
    #[error("another variant has this SKU")]
    SkuTaken,
    /// The product has as many variants as allowed.
    #[error("a product can have at most 100 variants")]
    TooManyVariants,
    /// The price is not in the creator's currency.
    #[error("the price must be in the creator's currency")]
    CurrencyMismatch,
    /// The price is zero, negative or too high.
    #[error("a price must be more than zero and at most 1,000,000,000 minor units")]
    PriceOutOfRange,
}

impl From<PriceError> for CreateVariantRefusal {
    fn from(error: PriceError) -> Self {
        match error {
            PriceError::CurrencyMismatch => Self::CurrencyMismatch,
            PriceError::OutOfRange => Self::PriceOutOfRange,
        }
    }
}

const FIELDS: &[&str] =
    &["sku", "title", "price", "weight_grams", "length_mm", "width_mm", "height_mm", "tax_class"];

/// Adds a variant after the other variants of its product.
pub async fn create_variant(
    db: &Db,
    scope: &CreatorScope,
    request: CreateVariant,
) -> Result<Variant, OpError<CreateVariantRefusal>> {
    in_tx(db, scope, async |tx| create_variant_in(tx, scope, request).await).await
}

/// Adds a variant within a transaction.
pub(super) async fn create_variant_in(
    tx: &Tx,
    scope: &CreatorScope,
    request: CreateVariant,
) -> Result<Variant, OpError<CreateVariantRefusal>> {
    let product = product::lock(tx, scope, request.product).await?;
    let product =
        product.ok_or_else(|| OpError::refuse_field(CreateVariantRefusal::NotFound, "productId"))?;
    let count = variant::count_of(tx, product.id).await?;
    if count >= VARIANTS_MAX {
        return Err(OpError::refuse(CreateVariantRefusal::TooManyVariants));
    }
    let mut complaints = Vec::new();
    if let Err(error) = check_price(request.price, product.currency) {
        complaints.push(Refused::field(error.into(), "price"));
    }
    if variant::sku_taken(tx, scope, request.sku.as_str(), None).await? {
        complaints.push(Refused::field(CreateVariantRefusal::SkuTaken, "sku"));
    }
    OpError::refuse_if_any(complaints)?;
    let id: VariantId = tx.new_id();
    let row = ActiveModel {
        id: Set(id),
        product_id: Set(product.id),
        creator_id: Set(product.creator_id),
        position: Set(Position::try_from(count).map_err(OpError::inconsistent)?),
        sku: Set(request.sku.as_str().to_owned()),
        title: Set(request.title.into_string()),
        price_minor: Set(request.price.minor),
        currency: Set(product.currency),
        weight_grams: Set(request.weight),
        length_mm: Set(request.length),
        width_mm: Set(request.width),
        height_mm: Set(request.height),
        tax_class: Set(request.tax_class),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        archived_at: Set(None),
    };
    let variant = row.insert(tx.conn()).await.map_err(sku_taken)?;
    reprice(tx, &product).await?;
    outbox::publish(
        tx,
        product.version,
        &Fact::ProductChanged { creator: product.creator_id, product: product.id },
    )
    .await?;
    audit::record(tx, "variant.create", id, FIELDS).await?;
    Ok(variant)
}

/// Maps a unique violation to a refusal. Products are locked one by one, so a variant of another product may
/// have taken the SKU since it was checked.
fn sku_taken(error: DbErr) -> OpError<CreateVariantRefusal> {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            OpError::refuse_field(CreateVariantRefusal::SkuTaken, "sku")
        }
        Some(_) | None => OpError::Db(error),
    }
}
