//! To sign out.

use super::session;
use crate::platform::{Db, NeverRefused, OpError, access::SessionScope, audit, in_tx};

/// Ends this session, of an account or of a guest. A session that has ended already stays so.
pub async fn sign_out(db: &Db, scope: &SessionScope) -> Result<(), OpError<NeverRefused>> {
    in_tx(db, scope.actor(), async |tx| {
        if session::revoke_own(tx, scope).await? {
            audit::record(tx, "session.end", scope.session(), &["revoked_at"]).await?;
        }
        Ok(())
    })
    .await
}
