//! Opens a session in a storefront for a buyer who agreed to it.

use super::{SignedIn, account, links, session};
use crate::platform::{Db, OpError, access::StorefrontScope, entropy::Secret, in_tx};

/// The reasons to refuse to open a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenSessionRefusal {
    /// The link is unknown, used, expired, for another purpose, or was requested by another storefront.
    #[error("this link is not valid any more: ask for a new one")]
    LinkInvalid,
}

/// Opens a session of 30 days for the storefront's server. In this session the person is only a buyer:
/// neither an administrator nor a member of any creator.
pub async fn open_session(
    db: &Db,
    scope: &StorefrontScope,
    link: &Secret,
) -> Result<SignedIn, OpError<OpenSessionRefusal>> {
    in_tx(db, scope.actor(), async |tx| {
        let account = links::redeem_open_session(tx, link, scope.token()).await?;
        let account =
            account.ok_or_else(|| OpError::refuse_field(OpenSessionRefusal::LinkInvalid, "link"))?;
        let row = account::hold(tx, account).await?;
        let row = row.ok_or_else(|| OpError::inconsistent("the link's account does not exist"))?;
        Ok(session::open(tx, &row, Some(scope.token())).await?)
    })
    .await
}
