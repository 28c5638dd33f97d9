//! Changes the password of an account.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{
    Account, Password, account, links, password, session,
    throttle::{Charge, charge},
};
use crate::platform::{Db, OpError, access::AccountScope, in_tx};

/// The current password and the new one.
#[derive(Debug, Clone)]
pub struct ChangePassword {
    /// The current password.
    pub old: Password,
    /// The new password.
    pub new: Password,
}

/// The reasons to refuse a change of password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangePasswordRefusal {
    /// The old password is wrong, or the account has no password. In the latter case, a link sent by e-mail
    /// lets the person set one.
    #[error("this is not your password")]
    WrongPassword,
    /// There were too many tries for this account.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait, in seconds.
        wait_secs: u32,
    },
}

/// Changes the password of the scope's account. Ends all other sessions of the account and voids its links.
pub async fn change_password(
    db: &Db,
    scope: &AccountScope,
    request: ChangePassword,
) -> Result<Account, OpError<ChangePasswordRefusal>> {
    let wrong = || OpError::refuse_field(ChangePasswordRefusal::WrongPassword, "oldPassword");
    let known = account::by_id(db.reader(), scope.account()).await?;
    let known = known.ok_or_else(|| OpError::inconsistent("the session's account does not exist"))?;
    // Shares the budget of `sign_in`, so that a stolen session does not allow more guesses.
    if let Some(wait_secs) = charge(db, scope.actor(), &[Charge::tries("sign_in", &known.email)]).await? {
        return Err(OpError::refuse(ChangePasswordRefusal::TooManyTries { wait_secs }));
    }
    if !password::verify(known.password_hash.as_ref(), &request.old).await? {
        return Err(wrong());
    }
    let hash = password::hash(&request.new).await?;
    in_tx(db, scope.actor(), async |tx| {
        let row = account::lock(tx, scope.account()).await?;
        // A link changed the password in the meantime, so the old password is no longer the current one.
        if row.password_hash != known.password_hash {
            return Err(wrong());
        }
        let mut row = row.into_active_model();
        row.password_hash = Set(Some(hash));
        let row = row.update(tx.conn()).await?;
        links::void_all(tx, row.id).await?;
        session::revoke_all(tx, row.id, Some(scope.session())).await?;
        account::tell(tx, &row, "account.change_password", &["password"]).await?;
        Ok(row.into())
    })
    .await
}
