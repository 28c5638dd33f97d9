//! To choose a new password by a link.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Account, Password, account, links, password, session};
use crate::platform::{Db, OpError, access::EntryScope, entropy::Secret, in_tx};

/// A new password, and the right to choose it.
#[derive(Debug, Clone)]
pub struct ResetPassword {
    /// What the letter's link carried.
    pub link: Secret,
    /// The new password.
    pub password: Password,
}

/// Why the password stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetPasswordRefusal {
    /// Unknown, used, run out, or for something else.
    #[error("this link is not valid any more: ask for a new one")]
    LinkInvalid,
}

/// Sets the password of the account that the link was sent to, ends all its sessions and takes its other
/// links out of use. It confirms the address too: the link was read there.
pub async fn reset_password(
    db: &Db,
    scope: &EntryScope,
    request: ResetPassword,
) -> Result<Account, OpError<ResetPasswordRefusal>> {
    let invalid = || OpError::refuse_field(ResetPasswordRefusal::LinkInvalid, "link");
    // A hash is made for nobody who does not hold a link.
    if !links::may_reset_password(db, &request.link).await? {
        return Err(invalid());
    }
    let hash = password::hash(&request.password).await?;
    in_tx(db, scope.actor(), async |tx| {
        let account = links::redeem_reset_password(tx, &request.link).await?.ok_or_else(invalid)?;
        let row = account::lock(tx, account).await?;
        let since = row.email_confirmed_at.unwrap_or(tx.now());
        let mut row = row.into_active_model();
        row.password_hash = Set(Some(hash));
        row.email_confirmed_at = Set(Some(since));
        let row = row.update(tx.conn()).await?;
        links::void_all(tx, account).await?;
        session::revoke_all(tx, account, None).await?;
        account::tell(tx, &row, "account.reset_password", &["password", "email_confirmed_at"]).await?;
        Ok(row.into())
    })
    .await
}
