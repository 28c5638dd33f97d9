//! Archives a pickup place.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{PickupPlace, place_row};
use crate::{
    creators,
    platform::{Db, OpError, access::CreatorScope, audit, facts::Fact, ids::PickupPlaceId, in_tx, outbox},
};

/// The reasons to refuse to archive a pickup place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArchivePickupPlaceRefusal {
    /// The creator has no such place.
    #[error("not found")]
    NotFound,
}

/// Archives a pickup place: no further drop can offer it. Published drops that offer it continue to.
/// If it is archived already, it keeps its time.
pub async fn archive(
    db: &Db,
    scope: &CreatorScope,
    id: PickupPlaceId,
) -> Result<PickupPlace, OpError<ArchivePickupPlaceRefusal>> {
    in_tx(db, scope, async |tx| {
        let creator = creators::lock(tx, scope).await?;
        let row = place_row::lock(tx, scope, id).await?;
        let row = row.ok_or_else(|| OpError::refuse_field(ArchivePickupPlaceRefusal::NotFound, "id"))?;
        let archived_at = row.archived_at.unwrap_or(tx.now());
        let mut row = row.into_active_model();
        row.archived_at = Set(Some(archived_at));
        let place = row.update(tx.conn()).await?;
        outbox::publish(tx, creator.version, &Fact::CreatorChanged { creator: creator.id }).await?;
        audit::record(tx, "pickup_place.archive", id, &["archived_at"]).await?;
        Ok(place)
    })
    .await
}
