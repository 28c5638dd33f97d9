//! Chooses a new password with a link.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Account, Password, account, links, password, session};
use crate::platform::{Db, OpError, access::EntryScope, entropy::Secret, in_tx};

/// A new password, and the link that allows choosing it.
#[derive(Debug, Clone)]
pub struct ResetPassword {
    /// The secret from the link in the letter.
    pub link: Secret,
    /// The new password.
    pub password: Password,
}

/// The reasons to refuse to set the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResetPasswordRefusal {
    /// The link is unknown, used, expired, or for another purpose.
    #[error("this link is not valid any more: ask for a new one")]
    LinkInvalid,
}

/// Sets the password of the account that the link was sent to, ends all its sessions and voids its other
/// links. Also confirms the address, because the link was read there.
pub async fn reset_password(
    db: &Db,
    scope: &EntryScope,
    request: ResetPassword,
) -> Result<Account, OpError<ResetPasswordRefusal>> {
    let invalid = || OpError::refuse_field(ResetPasswordRefusal::LinkInvalid, "link");
    // Only computes the expensive hash for a holder of a valid link.
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
