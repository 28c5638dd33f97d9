//! A storefront asks a buyer to let it open a session.

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

/// Why no link is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestSessionRefusal {
    /// Too often by this storefront, or too many letters to this address.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait.
        wait_secs: u32,
    },
}

/// Sends the buyer a link that names the storefront, if there is an account with this confirmed address; the
/// answer is the same if there is none.
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
