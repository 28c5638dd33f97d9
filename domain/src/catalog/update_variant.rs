//! Changes a variant. Reservations keep the price at which they were made.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, DbErr, IntoActiveModel, SqlErr};

use super::{
    Grams, Millimetres, Product, Sku, TaxClass, Variant, VariantTitle,
    policy::{PriceError, check_price},
    product::{self, reprice},
    variant,
};
use crate::platform::{
    Db, Money, OpError, Refused, Tx, access::CreatorScope, audit, facts::Fact, ids::VariantId, in_tx, outbox,
};

/// A request to change a variant; `None` leaves a field unchanged.
#[derive(Debug, Clone)]
pub struct UpdateVariant {
    /// The variant.
    pub variant: VariantId,
    /// A new SKU.
    pub sku: Option<Sku>,
    /// A new title.
    pub title: Option<VariantTitle>,
    /// A new price of one unit, in the creator's currency.
    pub price: Option<Money>,
    /// A new weight of one unit, packed.
    pub weight: Option<Grams>,
    /// The new longest side of the parcel.
    pub length: Option<Millimetres>,
    /// The new second side of the parcel.
    pub width: Option<Millimetres>,
    /// The new third side of the parcel.
    pub height: Option<Millimetres>,
    /// A new tax class.
    pub tax_class: Option<TaxClass>,
}

impl UpdateVariant {
    /// Creates a request that changes nothing yet.
    pub fn of(variant: VariantId) -> Self {
        Self {
            variant,
            sku: None,
            title: None,
            price: None,
            weight: None,
            length: None,
            width: None,
            height: None,
            tax_class: None,
        }
    }
}

/// The reasons to refuse a change of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateVariantRefusal {
    /// The creator has no such variant.
    #[error("not found")]
    NotFound,
    /// Another variant of the creator, possibly an archived one, has this SKU.
    #[error("another variant has this SKU")]
    SkuTaken,
    /// The price is not in the creator's currency.
    #[error("the price must be in the creator's currency")]
    CurrencyMismatch,
    /// The price is zero, negative or too high.
    #[error("a price must be more than zero and at most 1,000,000,000 minor units")]
    PriceOutOfRange,
}

impl From<PriceError> for UpdateVariantRefusal {
    fn from(error: PriceError) -> Self {
        match error {
            PriceError::CurrencyMismatch => Self::CurrencyMismatch,
            PriceError::OutOfRange => Self::PriceOutOfRange,
        }
    }
}

/// Changes a variant of the scope's creator, archived or not.
pub async fn update_variant(
    db: &Db,
    scope: &CreatorScope,
    request: UpdateVariant,
) -> Result<Variant, OpError<UpdateVariantRefusal>> {
    in_tx(db, scope, async |tx| update_variant_in(tx, scope, request).await).await
}

/// Changes a variant within a transaction.
pub(super) async fn update_variant_in(
    tx: &Tx,
    scope: &CreatorScope,
    request: UpdateVariant,
) -> Result<Variant, OpError<UpdateVariantRefusal>> {
    let not_found = || OpError::refuse_field(UpdateVariantRefusal::NotFound, "id");
    let product = product::lock_of_variant(tx, scope, request.variant).await?.ok_or_else(not_found)?;
    let row = variant::owned(tx, scope, request.variant).await?.ok_or_else(not_found)?;
    OpError::refuse_if_any(complaints(tx, scope, &product, &request).await?)?;
    let id = row.id;
    let (row, fields) = apply(tx, row, request);
    let variant = row.update(tx.conn()).await.map_err(sku_taken)?;
    reprice(tx, &product).await?;
    outbox::publish(
        tx,
        product.version,
        &Fact::ProductChanged { creator: product.creator_id, product: product.id },
    )
    .await?;
    audit::record(tx, "variant.update", id, &fields).await?;
    Ok(variant)
}

async fn complaints(
    tx: &Tx,
    scope: &CreatorScope,
    product: &Product,
    request: &UpdateVariant,
) -> Result<Vec<Refused<UpdateVariantRefusal>>, DbErr> {
    let mut complaints = Vec::new();
    if let Some(Err(error)) = request.price.map(|price| check_price(price, product.currency)) {
        complaints.push(Refused::field(error.into(), "price"));
    }
    if let Some(sku) = &request.sku
        && variant::sku_taken(tx, scope, sku.as_str(), Some(request.variant)).await?
    {
        complaints.push(Refused::field(UpdateVariantRefusal::SkuTaken, "sku"));
    }
    Ok(complaints)
}

/// Returns the changed row, and the names of the fields in the request.
fn apply(tx: &Tx, row: Variant, request: UpdateVariant) -> (variant::ActiveModel, Vec<&'static str>) {
    let mut row = row.into_active_model();
    let mut fields = Vec::new();
    row.updated_at = Set(tx.now());
    if let Some(sku) = request.sku {
        row.sku = Set(sku.as_str().to_owned());
        fields.push("sku");
    }
    if let Some(title) = request.title {
        row.title = Set(title.into_string());
        fields.push("title");
    }
    if let Some(price) = request.price {
        row.price_minor = Set(price.minor);
        fields.push("price");
    }
    if let Some(weight) = request.weight {
        row.weight_grams = Set(weight);
        fields.push("weight_grams");
    }
    if let Some(length) = request.length {
        row.length_mm = Set(length);
        fields.push("length_mm");
    }
    if let Some(width) = request.width {
        row.width_mm = Set(width);
        fields.push("width_mm");
    }
    if let Some(height) = request.height {
        row.height_mm = Set(height);
        fields.push("height_mm");
    }
    if let Some(tax_class) = request.tax_class {
        row.tax_class = Set(tax_class);
        fields.push("tax_class");
    }
    (row, fields)
}

/// Maps a unique violation to a refusal. Products are locked one by one, so a variant of another product may
/// have taken the SKU since it was checked.
fn sku_taken(error: DbErr) -> OpError<UpdateVariantRefusal> {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            OpError::refuse_field(UpdateVariantRefusal::SkuTaken, "sku")
        }
        Some(_) | None => OpError::Db(error),
    }
}
