//! To begin a session of somebody's account for the operator.

use super::{SignedIn, account, session};
use crate::platform::{Db, NeverRefused, OpError, access::SystemScope, ids::AccountId, in_tx};

/// Begins a session of any account for the operator: the bearer tokens that the demo hands out. `None` when
/// there is no such account.
pub async fn open_session_for(
    db: &Db,
    scope: &SystemScope,
    account: AccountId,
) -> Result<Option<SignedIn>, OpError<NeverRefused>> {
    in_tx(db, scope.actor(), async |tx| {
        let Some(row) = account::hold(tx, account).await? else { return Ok(None) };
        Ok(Some(session::open(tx, &row, None).await?))
    })
    .await
}
