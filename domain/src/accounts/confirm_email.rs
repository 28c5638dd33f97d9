//! Confirms the e-mail address of an account.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{Account, account, links};
use crate::platform::{Db, OpError, access::EntryScope, entropy::Secret, in_tx};

/// The reasons to refuse to confirm an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmEmailRefusal {
    /// The link is unknown, used, expired, or for another purpose.
    #[error("this link is not valid any more: sign up again to get a new one")]
    LinkInvalid,
}

/// Confirms the address that the link was sent to.
pub async fn confirm_email(
    db: &Db,
    scope: &EntryScope,
    link: &Secret,
) -> Result<Account, OpError<ConfirmEmailRefusal>> {
    in_tx(db, scope.actor(), async |tx| {
        let account = links::redeem_confirm_email(tx, link).await?;
        let account =
            account.ok_or_else(|| OpError::refuse_field(ConfirmEmailRefusal::LinkInvalid, "link"))?;
        let row = account::lock(tx, account).await?;
        let since = row.email_confirmed_at.unwrap_or(tx.now());
        let mut row = row.into_active_model();
        row.email_confirmed_at = Set(Some(since));
        let row = row.update(tx.conn()).await?;
        account::tell(tx, &row, "account.confirm_email", &["email_confirmed_at"]).await?;
        Ok(row.into())
    })
    .await
}
