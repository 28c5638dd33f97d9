//! Signs a person out.

use super::session;
use crate::platform::{Db, NeverRefused, OpError, access::SessionScope, audit, in_tx};

/// Ends the current session of an account or a guest. Ending it again changes nothing.
pub async fn sign_out(db: &Db, scope: &SessionScope) -> Result<(), OpError<NeverRefused>> {
    in_tx(db, scope.actor(), async |tx| {
        if session::revoke_own(tx, scope).await? {
            audit::record(tx, "session.end", scope.session(), &["revoked_at"]).await?;
        }
        Ok(())
    })
    .await
}
