//! Creates a creator for the operator.

use super::{CreateCreator, CreateCreatorRefusal, Creator, create::create_in};
use crate::platform::{Db, OpError, access::SystemScope, ids::AccountId, in_tx};

/// Creates a creator for the operator, with or without an owner.
pub async fn create_for(
    db: &Db,
    scope: &SystemScope,
    owner: Option<AccountId>,
    request: CreateCreator,
) -> Result<Creator, OpError<CreateCreatorRefusal>> {
    in_tx(db, scope.actor(), async |tx| create_in(tx, owner, request).await).await
}
