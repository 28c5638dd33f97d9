//! To ask for a link with which to choose a new password.

use super::{
    Email, account,
    letters::ResetPasswordLetter,
    throttle::{Charge, charge},
};
use crate::platform::{Db, OpError, access::EntryScope, audit, in_tx, mail::SendMail, tasks};

/// Why no link is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestPasswordResetRefusal {
    /// Too often from there, or too many letters to this address.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait.
        wait_secs: u32,
    },
}

/// Sends a link to the address if there is an account; the answer is the same if there is none.
pub async fn request_password_reset(
    db: &Db,
    scope: &EntryScope,
    email: &Email,
) -> Result<(), OpError<RequestPasswordResetRefusal>> {
    let charges = [Charge::origin("request_password_reset", scope.origin()), Charge::letter(email)];
    if let Some(wait_secs) = charge(db, scope.actor(), &charges).await? {
        return Err(OpError::refuse(RequestPasswordResetRefusal::TooManyTries { wait_secs }));
    }
    in_tx(db, scope.actor(), async |tx| {
        let Some(known) = account::by_email(tx.conn(), email).await? else { return Ok(()) };
        audit::record(tx, "account.request_password_reset", known.id, &[]).await?;
        Ok(tasks::enqueue(tx, SendMail::new(&ResetPasswordLetter { account: known.id })?).await?)
    })
    .await
}
