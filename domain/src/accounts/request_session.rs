//! Requests a buyer's permission to open a session in a storefront.

use super::{
    Email, account,
    letters::OpenSessionLetter,
    throttle::{Charge, charge},
};
use crate::platform::{
    Db, OpError,
    access::{Origin, StorefrontScope},
    audit, in_tx,
    mail::SendMail,
    tasks,
};

/// The reasons to refuse to send a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestSessionRefusal {
    /// There were too many requests from this storefront, or too many letters to this address.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait, in seconds.
        wait_secs: u32,
    },
}

/// Sends the buyer a letter with a link; the letter names the storefront. Nothing is sent if no account has
/// this confirmed address; the response is the same.
pub async fn request_session(
    db: &Db,
    scope: &StorefrontScope,
    email: &Email,
) -> Result<(), OpError<RequestSessionRefusal>> {
    let charges =
        [Charge::origin("request_session", Origin::Storefront(scope.token())), Charge::letter(email)];
    if let Some(wait_secs) = charge(db, scope.actor(), &charges).await? {
        return Err(OpError::refuse(RequestSessionRefusal::TooManyTries { wait_secs }));
    }
    in_tx(db, scope.actor(), async |tx| {
        let known = account::by_email(tx.conn(), email).await?;
        let Some(known) = known.filter(|account| account.email_confirmed_at.is_some()) else { return Ok(()) };
        audit::record(tx, "session.request", known.id, &[]).await?;
        let letter = OpenSessionLetter { account: known.id, token: scope.token() };
        Ok(tasks::enqueue(tx, SendMail::new(&letter)?).await?)
    })
    .await
}
