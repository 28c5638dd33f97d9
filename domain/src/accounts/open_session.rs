//! A storefront opens a session for a buyer who agreed.

use super::{SignedIn, account, links, session};
use crate::platform::{Db, OpError, access::StorefrontScope, entropy::Secret, in_tx};

/// Why no session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenSessionRefusal {
    /// Unknown, used, run out, for something else, or asked for by another storefront.
    #[error("this link is not valid any more: ask for a new one")]
    LinkInvalid,
}

/// Begins a session of 30 days that the storefront's server holds. In it the person is a buyer and nothing
/// more: neither an administrator nor a member of any creator.
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
        let row = row.ok_or_else(|| OpError::inconsistent("a link without its account"))?;
        Ok(session::open(tx, &row, Some(scope.token())).await?)
    })
    .await
}
