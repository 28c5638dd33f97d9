//! Archives a product.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Product, product};
use crate::platform::{
    Db, OpError, Tx, access::CreatorScope, audit, facts::Fact, ids::ProductId, in_tx, outbox,
};

/// The reasons to refuse to archive a product, or to restore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveProductRefusal {
    /// The creator has no such product.
    #[error("not found")]
    NotFound,
}

/// Hides a product from lists and pages. Drops that already sell it continue. Archiving it again changes
/// nothing.
pub async fn archive_product(
    db: &Db,
    scope: &CreatorScope,
    id: ProductId,
) -> Result<Product, OpError<ArchiveProductRefusal>> {
    in_tx(db, scope, async |tx| set_archived(tx, scope, id, Some(tx.now()), "product.archive").await).await
}

/// Archives a product, or restores it, within a transaction.
pub(super) async fn set_archived(
    tx: &Tx,
    scope: &CreatorScope,
    id: ProductId,
    at: Option<DateTime<Utc>>,
    action: &'static str,
) -> Result<Product, OpError<ArchiveProductRefusal>> {
    let row = product::lock(tx, scope, id).await?;
    let row = row.ok_or_else(|| OpError::refuse_field(ArchiveProductRefusal::NotFound, "id"))?;
    let (creator, version) = (row.creator_id, row.version);
    let done = row.archived_at.is_some() == at.is_some();
    let mut row = row.into_active_model();
    if !done {
        row.archived_at = Set(at);
    }
    let product = row.update(tx.conn()).await?;
    outbox::publish(tx, version, &Fact::ProductChanged { creator, product: id }).await?;
    audit::record(tx, action, id, &["archived_at"]).await?;
    Ok(product)
}
