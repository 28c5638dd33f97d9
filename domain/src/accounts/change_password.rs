//! To change one's password.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, IntoActiveModel};

use super::{
    Account, Password, account, links, password, session,
    throttle::{Charge, charge},
};
use crate::platform::{Db, OpError, access::AccountScope, in_tx};

/// The old password and the new one.
#[derive(Debug, Clone)]
pub struct ChangePassword {
    /// The present password.
    pub old: Password,
    /// What it is to be.
    pub new: Password,
}

/// Why the password stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangePasswordRefusal {
    /// The old password is wrong, or there is none: then a link by e-mail sets one.
    #[error("this is not your password")]
    WrongPassword,
    /// Too often for this account.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait.
        wait_secs: u32,
    },
}

/// Changes one's own password, ends all other sessions of the account and takes its links out of use.
pub async fn change_password(
    db: &Db,
    scope: &AccountScope,
    request: ChangePassword,
) -> Result<Account, OpError<ChangePasswordRefusal>> {
    let wrong = || OpError::refuse_field(ChangePasswordRefusal::WrongPassword, "oldPassword");
    let known = account::by_id(db.reader(), scope.account()).await?;
    let known = known.ok_or_else(|| OpError::inconsistent("a session without its account"))?;
    // The tries of `sign_in`: a stolen session is no way round them.
    if let Some(wait_secs) = charge(db, scope.actor(), &[Charge::tries("sign_in", &known.email)]).await? {
        return Err(OpError::refuse(ChangePasswordRefusal::TooManyTries { wait_secs }));
    }
    if !password::verify(known.password_hash.as_ref(), &request.old).await? {
        return Err(wrong());
    }
    let hash = password::hash(&request.new).await?;
    in_tx(db, scope.actor(), async |tx| {
        let row = account::lock(tx, scope.account()).await?;
        // Set anew in the meantime, by a link: then the old one was not the present one any more.
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
