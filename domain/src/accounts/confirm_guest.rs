//! Confirms the address of a guest, who can then buy without an account.

use super::{SignedIn, guest, links, session};
use crate::platform::{Db, OpError, access::EntryScope, audit, entropy::Secret, in_tx};

/// The reasons to refuse to confirm a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmGuestRefusal {
    /// The link is unknown, used, expired, or for another purpose.
    #[error("this link is not valid any more: ask for a new one")]
    LinkInvalid,
}

/// Confirms the guest's address and opens a guest session of 24 hours.
pub async fn confirm_guest(
    db: &Db,
    scope: &EntryScope,
    link: &Secret,
) -> Result<SignedIn, OpError<ConfirmGuestRefusal>> {
    in_tx(db, scope.actor(), async |tx| {
        let guest = links::redeem_confirm_guest(tx, link).await?;
        let guest = guest.ok_or_else(|| OpError::refuse_field(ConfirmGuestRefusal::LinkInvalid, "link"))?;
        guest::confirm(tx, guest).await?;
        audit::record(tx, "guest.confirm", guest, &["email_confirmed_at"]).await?;
        let row = guest::by_id(tx.conn(), guest)
            .await?
            .ok_or_else(|| OpError::inconsistent("the link's guest does not exist"))?;
        Ok(session::open_guest(tx, &row).await?)
    })
    .await
}
