//! To sign in.

use super::{
    Email, Password, SignedIn, account, password, session,
    throttle::{Charge, charge},
};
use crate::platform::{
    Db, OpError,
    access::{Actor, EntryScope},
    in_tx,
};

/// Who wants in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The address.
    pub email: Email,
    /// The password.
    pub password: Password,
}

/// Why somebody stays out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// No such account, no such password, or an account without one: all the same.
    #[error("e-mail or password is wrong")]
    BadCredentials,
    /// Too often for this address or from there.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait.
        wait_secs: u32,
    },
}

/// Begins a session of 30 days. The address need not be confirmed; what needs it says so.
pub async fn sign_in(
    db: &Db,
    scope: &EntryScope,
    request: &SignIn,
) -> Result<SignedIn, OpError<SignInRefusal>> {
    let charges = [Charge::origin("sign_in", scope.origin()), Charge::tries("sign_in", &request.email)];
    if let Some(wait_secs) = charge(db, scope.actor(), &charges).await? {
        return Err(OpError::refuse(SignInRefusal::TooManyTries { wait_secs }));
    }
    let bad = || OpError::refuse(SignInRefusal::BadCredentials);
    let known = account::by_email(db.reader(), &request.email).await?;
    let stored = known.as_ref().and_then(|account| account.password_hash.as_ref());
    let right = password::verify(stored, &request.password).await?;
    let known = known.filter(|_| right).ok_or_else(bad)?;
    in_tx(db, Actor::Account(known.id), async |tx| {
        let row = account::hold(tx, known.id).await?;
        // Changed since it was read: all sessions were ended, and this one must not outlive that.
        let row = row.filter(|row| row.password_hash == known.password_hash).ok_or_else(bad)?;
        Ok(session::open(tx, &row, None).await?)
    })
    .await
}
