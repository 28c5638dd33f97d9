//! Starts to buy as a guest.

use super::{
    Email, guest,
    letters::ConfirmGuestLetter,
    throttle::{Charge, charge},
};
use crate::platform::{Db, OpError, access::EntryScope, audit, in_tx, mail::SendMail, tasks};

/// The reasons to refuse to send a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartGuestRefusal {
    /// There were too many requests from this origin, or too many letters to this address.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait, in seconds.
        wait_secs: u32,
    },
}

/// Sends a link to the address. Whoever follows it may buy as the address's guest. The response is the same
/// for every address.
pub async fn start_guest(
    db: &Db,
    scope: &EntryScope,
    email: &Email,
) -> Result<(), OpError<StartGuestRefusal>> {
    let charges = [Charge::origin("start_guest", scope.origin()), Charge::letter(email)];
    if let Some(wait_secs) = charge(db, scope.actor(), &charges).await? {
        return Err(OpError::refuse(StartGuestRefusal::TooManyTries { wait_secs }));
    }
    in_tx(db, scope.actor(), async |tx| {
        let guest = guest::of_email(tx, email).await?.id;
        audit::record(tx, "guest.start", guest, &["email"]).await?;
        Ok(tasks::enqueue(tx, SendMail::new(&ConfirmGuestLetter { guest })?).await?)
    })
    .await
}
