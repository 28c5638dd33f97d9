//! Signs a person in.

use super::{
    Email, Password, SignedIn, account, password, session,
    throttle::{Charge, charge},
};
use crate::platform::{
    Db, OpError,
    access::{Actor, EntryScope},
    in_tx,
};

/// The credentials of a person who wants to sign in.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// The e-mail address.
    pub email: Email,
    /// The password.
    pub password: Password,
}

/// The reasons to refuse a sign-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInRefusal {
    /// There is no such account, its password is another one, or it has no password. The response does not
    /// tell these apart.
    #[error("e-mail or password is wrong")]
    BadCredentials,
    /// There were too many tries for this address or from this origin.
    #[error("too many tries: wait {wait_secs} seconds")]
    TooManyTries {
        /// How long to wait, in seconds.
        wait_secs: u32,
    },
}

/// Opens a session of 30 days. The address need not be confirmed; operations that need a confirmed address
/// refuse on their own.
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
        // The password changed since it was read. That change ended all sessions, so no session with the old
        // password may be opened now.
        let row = row.filter(|row| row.password_hash == known.password_hash).ok_or_else(bad)?;
        Ok(session::open(tx, &row, None).await?)
    })
    .await
}
