//! Requests a link for choosing a new password.

use super::{
    Email, account,
    letters::ResetPasswordLetter,
    throttle::{Charge, charge},
};
use crate::platform::{Db, OpError, access::EntryScope, audit, in_tx, mail::SendMail, tasks};

/// The reasons to refuse to send a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestPasswordResetRefusal {
    /// There were too many requests from this origin, or too many letters to this address.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait, in seconds.
        wait_secs: u32,
    },
}

/// Sends a link to the address if it has an account. The response is the same if it has none.
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
