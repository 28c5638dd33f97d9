//! How the API says no.
//!
//! What a user can mend is data: [`UserError`](super::user_error::UserError)s in the payload of a mutation,
//! with codes that are contract. What a programmer must mend is a GraphQL error with one of the codes of
//! [`Code`]. Everything else is `INTERNAL` ([`internal`]).

use async_graphql::Error;
use domain::platform::access::Denied;
use edge::errors::{Code, internal};

/// An argument that is out of bounds.
pub(crate) fn bad_input(message: impl Into<String>) -> Error {
    Code::BadUserInput.error(message)
}

/// Shows why somebody may not do something. A foreign thing is told as data where a mutation has a place for
/// it.
pub(crate) fn denied(denied: Denied) -> Error {
    let code = match denied {
        Denied::Unauthenticated => Code::Unauthenticated,
        Denied::Forbidden | Denied::NotFound => Code::Forbidden,
        Denied::Unconfirmed => Code::EmailUnconfirmed,
    };
    code.error(denied.to_string())
}

/// Turns failures of ours into [`internal`] errors: `db_call.await.internal()?`.
pub(crate) trait Internal<T> {
    /// The value, or the error to show.
    fn internal(self) -> async_graphql::Result<T>;
}

impl<T, E: std::error::Error + 'static> Internal<T> for Result<T, E> {
    fn internal(self) -> async_graphql::Result<T> {
        self.map_err(|failure| internal(&failure))
    }
}
