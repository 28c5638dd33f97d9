//! Restores an archived variant.

use super::{ArchiveVariantRefusal, Variant, archive_variant::set_archived};
use crate::platform::{Db, OpError, access::CreatorScope, ids::VariantId, in_tx};

/// Restores an archived variant. Restoring it again changes nothing.
pub async fn unarchive_variant(
    db: &Db,
    scope: &CreatorScope,
    id: VariantId,
) -> Result<Variant, OpError<ArchiveVariantRefusal>> {
    in_tx(db, scope, async |tx| set_archived(tx, scope, id, None, "variant.unarchive").await).await
}
