//! Archives a variant.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{
    Variant,
    product::{self, reprice},
    variant,
};
use crate::platform::{
    Db, OpError, Tx, access::CreatorScope, audit, facts::Fact, ids::VariantId, in_tx, outbox,
};

/// The reasons to refuse to archive a variant, or to restore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveVariantRefusal {
    /// The creator has no such variant.
    #[error("not found")]
    NotFound,
}

/// Hides a variant from its product's list; its SKU stays taken. Drops that already sell it continue.
/// Archiving it again changes nothing.
pub async fn archive_variant(
    db: &Db,
    scope: &CreatorScope,
    id: VariantId,
) -> Result<Variant, OpError<ArchiveVariantRefusal>> {
    in_tx(db, scope, async |tx| set_archived(tx, scope, id, Some(tx.now()), "variant.archive").await).await
}

/// Archives a variant, or restores it, within a transaction.
pub(super) async fn set_archived(
    tx: &Tx,
    scope: &CreatorScope,
    id: VariantId,
    at: Option<DateTime<Utc>>,
    action: &'static str,
) -> Result<Variant, OpError<ArchiveVariantRefusal>> {
    let not_found = || OpError::refuse_field(ArchiveVariantRefusal::NotFound, "id");
    let product = product::lock_of_variant(tx, scope, id).await?.ok_or_else(not_found)?;
    let row = variant::owned(tx, scope, id).await?.ok_or_else(not_found)?;
    let done = row.archived_at.is_some() == at.is_some();
    let mut row = row.into_active_model();
    if !done {
        row.archived_at = Set(at);
        row.updated_at = Set(tx.now());
    }
    let variant = row.update(tx.conn()).await?;
    reprice(tx, &product).await?;
    outbox::publish(
        tx,
        product.version,
        &Fact::ProductChanged { creator: product.creator_id, product: product.id },
    )
    .await?;
    audit::record(tx, action, id, &["archived_at"]).await?;
    Ok(variant)
}
