//! Opens a session of any account for the operator.

use super::{SignedIn, account, session};
use crate::platform::{Db, NeverRefused, OpError, access::SystemScope, ids::AccountId, in_tx};

/// Opens a session of any account for the operator, as the demo does to hand out bearer tokens. Returns
/// `None` if there is no such account.
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
