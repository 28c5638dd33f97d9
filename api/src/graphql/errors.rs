//! The errors of the API.
//!
//! What a user can fix is data: [`UserError`](super::user_error::UserError)s in the payload of a mutation,
//! whose codes are part of the contract. What a programmer must fix is a GraphQL error with one of the codes
//! of [`Code`]. Everything else is `INTERNAL` ([`internal`]).

use async_graphql::Error;
use domain::platform::access::Denied;
use edge::errors::{Code, internal};

/// Returns the error for an argument that is invalid.
pub(crate) fn bad_input(message: impl Into<String>) -> Error {
    Code::BadUserInput.error(message)
}

/// Returns the error for a denied action. A mutation reports another tenant's thing as data instead, if an
/// input field names it ([`MutationStop::denied`](super::payload::MutationStop::denied)).
pub(crate) fn denied(denied: Denied) -> Error {
    let code = match denied {
        Denied::Unauthenticated => Code::Unauthenticated,
        Denied::Forbidden | Denied::NotFound => Code::Forbidden,
        Denied::Unconfirmed => Code::EmailUnconfirmed,
    };
    code.error(denied.to_string())
}

/// Turns our own failures into [`internal`] errors: `db_call.await.internal()?`.
pub(crate) trait Internal<T> {
    /// Returns the value, or the error for the client.
    fn internal(self) -> async_graphql::Result<T>;
}

impl<T, E: std::error::Error + 'static> Internal<T> for Result<T, E> {
    fn internal(self) -> async_graphql::Result<T> {
        self.map_err(|failure| internal(&failure))
    }
}
