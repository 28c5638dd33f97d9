//! Restores an archived product.

use super::{ArchiveProductRefusal, Product, archive_product::set_archived};
use crate::platform::{Db, OpError, access::CreatorScope, ids::ProductId, in_tx};

/// Restores an archived product. Restoring it again changes nothing.
pub async fn unarchive_product(
    db: &Db,
    scope: &CreatorScope,
    id: ProductId,
) -> Result<Product, OpError<ArchiveProductRefusal>> {
    in_tx(db, scope, async |tx| set_archived(tx, scope, id, None, "product.unarchive").await).await
}
