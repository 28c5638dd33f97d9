//! The payloads of mutations: results, or errors that the user can fix.

use std::future::Future;

use async_graphql::{Error, ServerError};
use domain::platform::{OpError, PathStep, Refused, access::Denied};
use edge::errors::{busy, internal};

use super::{
    errors::denied,
    input::InvalidInput,
    user_error::{CodeOf, ErrorCode, UserError},
};

/// The ways in which a mutation ends without success.
#[derive(Debug)]
pub(crate) enum MutationStop<C: ErrorCode> {
    /// The payload has errors.
    Refused {
        errors: Vec<UserError<C>>,
        /// How long to wait, if a refusal asks the client to wait.
        retry_after_secs: Option<u32>,
    },
    /// The request has a GraphQL error.
    Error(Error),
}

impl<C: ErrorCode> MutationStop<C> {
    /// Ends the mutation with errors in the payload and no time to wait.
    pub(crate) fn refused(errors: Vec<UserError<C>>) -> Self {
        Self::Refused { errors, retry_after_secs: None }
    }

    /// Ends the mutation with `NOT_FOUND` at `path`. An unknown thing and another tenant's thing give the
    /// same error.
    pub(crate) fn not_found(path: &str) -> Self {
        Self::refused(vec![UserError {
            code: C::NOT_FOUND,
            path: vec![path.to_owned()],
            message: "not found".to_owned(),
        }])
    }

    /// Ends the mutation because an action is denied. `path` is the field that names the thing.
    pub(crate) fn denied(why: Denied, path: &str) -> Self {
        if why == Denied::NotFound { Self::not_found(path) } else { Self::Error(denied(why)) }
    }
}

impl<C: ErrorCode> From<Error> for MutationStop<C> {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl<C: ErrorCode> From<InvalidInput> for MutationStop<C> {
    fn from(InvalidInput(faults): InvalidInput) -> Self {
        let errors = faults.into_iter().map(|fault| UserError {
            code: C::INVALID,
            path: fault.path,
            message: fault.message,
        });
        Self::refused(errors.collect())
    }
}

impl<C, R> From<OpError<R>> for MutationStop<C>
where
    C: CodeOf<R>,
    R: std::fmt::Debug + std::fmt::Display + Copy + Send + Sync + 'static,
{
    fn from(error: OpError<R>) -> Self {
        match error {
            OpError::Refused(refused) => {
                let retry_after_secs = refused.iter().find_map(|refused| C::wait_secs(refused.code));
                Self::Refused { errors: refused.into_iter().map(refusal).collect(), retry_after_secs }
            }
            OpError::Busy(retry_after) => {
                let ServerError { message, extensions, .. } = busy(retry_after);
                Self::Error(Error { message, source: None, extensions })
            }
            OpError::Db(failure) => Self::Error(internal(&failure)),
            error @ OpError::Inconsistent(_) => Self::Error(internal(&error)),
        }
    }
}

/// Converts a refusal into an error of a payload.
pub(crate) fn refusal<C: CodeOf<R>, R: Copy + std::fmt::Display>(refused: Refused<R>) -> UserError<C> {
    let path = refused.path.iter().map(PathStep::to_string).collect();
    UserError { code: C::of(refused.code), path, message: refused.code.to_string() }
}

/// The payload of a mutation. [`payload!`] makes one.
pub(crate) trait Payload: Sized {
    /// The codes of its errors.
    type Code: ErrorCode;

    /// Returns the payload of a mutation that changed nothing.
    fn refused(errors: Vec<UserError<Self::Code>>, retry_after_secs: Option<u32>) -> Self;
}

/// Runs the work of a mutation. `?` in the work ends the mutation, and errors that the user can fix go into
/// the payload.
pub(crate) async fn answer<P: Payload>(
    work: impl Future<Output = Result<P, MutationStop<P::Code>>> + Send,
) -> async_graphql::Result<P> {
    match work.await {
        Ok(payload) => Ok(payload),
        Err(MutationStop::Error(error)) => Err(error),
        Err(MutationStop::Refused { errors, retry_after_secs }) => Ok(P::refused(errors, retry_after_secs)),
    }
}

/// Makes the payload type of a mutation: its results, which are all nullable, and `errors`.
/// `XxxPayload::done(…)` returns the payload of a successful mutation.
///
/// ```text
/// payload!(DropPublishPayload, DropPublishError {
///     /// The published drop.
///     drop: Drop
/// });
/// ```
///
/// After the results, `retry_after_seconds` adds a field for refusals that ask the client to wait, and
/// `or { … }` adds fields that come with errors instead of results.
macro_rules! payload {
    ($payload:ident, $error:ident { $($(#[doc = $doc:literal])* $field:ident: $type:ty),* $(,)? }) => {
        payload!($payload, $error { $($(#[doc = $doc])* $field: $type),* } or {});
    };
    (
        $payload:ident,
        $error:ident { $($(#[doc = $doc:literal])* $field:ident: $type:ty),* $(,)? }
        retry_after_seconds
    ) => {
        payload!(@type $payload, $error { $($(#[doc = $doc])* $field: $type),* } {
            /// How long to wait before the next try, in seconds, if the error is TOO_MANY_TRIES.
            retry_after_seconds: i32
        });
        payload!(
            @refused $payload,
            $error,
            wait,
            wait.map(|secs| i32::try_from(secs).unwrap_or(i32::MAX)),
            retry_after_seconds
        );
    };
    (
        $payload:ident,
        $error:ident { $($(#[doc = $doc:literal])* $field:ident: $type:ty),* $(,)? }
        or { $($(#[doc = $hint_doc:literal])* $hint:ident: $hint_type:ty),* $(,)? }
    ) => {
        payload!(@type $payload, $error { $($(#[doc = $doc])* $field: $type),* } {
            $($(#[doc = $hint_doc])* $hint: $hint_type),*
        });
        payload!(@refused $payload, $error, _wait, None,);
    };
    (
        @type $payload:ident,
        $error:ident { $($(#[doc = $doc:literal])* $field:ident: $type:ty),* }
        { $($(#[doc = $hint_doc:literal])* $hint:ident: $hint_type:ty),* }
    ) => {
        /// The result of the mutation, or errors that the user can fix.
        #[derive(async_graphql::SimpleObject, Default)]
        pub struct $payload {
            $($(#[doc = $doc])* pub $field: Option<$type>,)*
            $($(#[doc = $hint_doc])* pub $hint: Option<$hint_type>,)*
            /// The errors; empty if the mutation succeeded.
            pub errors: Vec<$error>,
        }

        impl $payload {
            /// Returns the payload of a successful mutation.
            pub(crate) fn done($($field: impl Into<Option<$type>>),*) -> Self {
                Self { $($field: $field.into(),)* ..Self::default() }
            }
        }
    };
    (@refused $payload:ident, $error:ident, $wait:ident, $secs:expr, $($hint:ident)?) => {
        impl crate::graphql::payload::Payload for $payload {
            type Code = <$error as crate::graphql::user_error::Coded>::Code;

            fn refused(errors: Vec<$error>, $wait: Option<u32>) -> Self {
                Self { $($hint: $secs,)? errors, ..Self::default() }
            }
        }
    };
}
pub(crate) use payload;
