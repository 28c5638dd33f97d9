//! How the API says no.
//!
//! What a user can mend is data: [`UserError`](super::user_error::UserError)s in the payload of a mutation, with codes that are contract.
//! What a programmer must mend is a GraphQL error with one of the codes of [`Code`]. Everything else is
//! `INTERNAL` ([`internal`]).

use async_graphql::{Error, ServerError};
use domain::platform::{OpError, PathStep, Refused, access::Denied};
use edge::errors::{Code, busy, internal};

/// An argument that is out of bounds.
pub(crate) fn bad_input(message: impl Into<String>) -> Error {
    Code::BadUserInput.error(message)
}

/// Shows why somebody may not do something. A foreign thing is told as data where a mutation has a place for it.
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

/// Something about the input that its user can mend.
#[derive(Debug, Clone)]
pub(crate) struct Complaint<C> {
    pub(crate) code: C,
    pub(crate) path: Vec<String>,
    pub(crate) message: String,
}

/// What a mutation's code enum can always say.
pub(crate) trait CommonCode: Copy {
    /// The input does not parse.
    const INVALID: Self;
    /// Unknown, or another tenant's.
    const NOT_FOUND: Self;
}

/// Collects what does not parse, so that all of it comes in one answer.
#[derive(Debug)]
pub(crate) struct Complaints<C>(Vec<Complaint<C>>);

impl<C: CommonCode> Complaints<C> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes that a field does not parse.
    pub(crate) fn invalid(&mut self, path: &[&str], message: impl Into<String>) {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        self.0.push(Complaint { code: C::INVALID, path, message: message.into() });
    }

    /// Takes a parsed field, or notes why there is none.
    pub(crate) fn take<T, E: std::fmt::Display>(&mut self, path: &[&str], parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.invalid(path, error.to_string())).ok()
    }

    /// The same for a field that may be absent.
    pub(crate) fn take_some<T, E: std::fmt::Display>(&mut self, path: &[&str], parsed: Option<Result<T, E>>) -> Option<T> {
        parsed.and_then(|parsed| self.take(path, parsed))
    }

    /// Whether all of it parses.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How a mutation ends besides success: with complaints as data, or with an error.
pub(crate) enum Stop<C> {
    /// Data.
    Complaints(Vec<Complaint<C>>),
    /// An error.
    Error(Error),
}

impl<C: CommonCode> Stop<C> {
    /// Unknown, or another tenant's: both read the same.
    pub(crate) fn not_found(path: &str) -> Self {
        Self::Complaints(vec![Complaint { code: C::NOT_FOUND, path: vec![path.to_owned()], message: "not found".to_owned() }])
    }

    /// One field that does not parse, where nothing can be done before it does.
    pub(crate) fn invalid(path: &str, message: impl std::fmt::Display) -> Self {
        Self::Complaints(vec![Complaint { code: C::INVALID, path: vec![path.to_owned()], message: message.to_string() }])
    }

    /// Denied at a field that names somebody's thing.
    pub(crate) fn denied(why: Denied, path: &str) -> Self {
        if why == Denied::NotFound { Self::not_found(path) } else { Self::Error(denied(why)) }
    }
}

impl<C> From<Error> for Stop<C> {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl<C> From<Complaints<C>> for Stop<C> {
    fn from(complaints: Complaints<C>) -> Self {
        Self::Complaints(complaints.0)
    }
}

impl<C, R> From<OpError<R>> for Stop<C>
where
    R: std::fmt::Debug + std::fmt::Display + Copy + Into<C> + Send + Sync + 'static,
{
    fn from(error: OpError<R>) -> Self {
        match error {
            OpError::Refused(refused) => Self::Complaints(refused.into_iter().map(complaint).collect()),
            OpError::Busy(retry_after) => {
                let ServerError { message, extensions, .. } = busy(retry_after);
                Self::Error(Error { message, source: None, extensions })
            }
            OpError::Db(failure) => Self::Error(internal(&failure)),
            OpError::Inconsistent(what) => Self::Error(internal(&Inconsistent(what))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("inconsistent state: {0}")]
struct Inconsistent(String);

/// A refusal, as the payload of a mutation tells it.
pub(crate) fn complaint<C, R: Copy + Into<C> + std::fmt::Display>(refused: Refused<R>) -> Complaint<C> {
    let path = refused.path.iter().map(PathStep::to_string).collect();
    Complaint { code: refused.code.into(), path, message: refused.code.to_string() }
}

/// Makes the error type of a mutation and its code enum from a refusal enum of `domain`, matched exhaustively.
///
/// `user_error!(DropCreateError, DropCreateErrorCode, CreateDropRefusal { SlugTaken, … });`: the codes `INVALID` and
/// `NOT_FOUND` are always there; a refusal of the same name is listed behind `not_found:`.
macro_rules! user_error {
    ($error:ident, $code:ident, $refusal:ident { $($variant:ident: $doc:literal),* $(,)? } $(not_found: $missing:ident)?) => {
        #[doc = concat!("What `", stringify!($error), "` can be about. Codes are contract; messages are not.")]
        #[derive(async_graphql::Enum, Debug, Copy, Clone, Eq, PartialEq)]
        pub enum $code {
            /// The input cannot be read: a malformed id, a text that is too long, an amount with too many decimals. The message says what.
            Invalid,
            /// There is no such thing, or it is not yours.
            NotFound,
            $(#[doc = $doc] $variant,)*
        }

        impl crate::graphql::errors::CommonCode for $code {
            const INVALID: Self = Self::Invalid;
            const NOT_FOUND: Self = Self::NotFound;
        }

        impl From<$refusal> for $code {
            fn from(refusal: $refusal) -> Self {
                match refusal {
                    $($refusal::$missing => Self::NotFound,)?
                    $($refusal::$variant { .. } => Self::$variant,)*
                }
            }
        }

        /// Why the mutation changed nothing, or what to mend.
        #[derive(async_graphql::SimpleObject, Debug, Clone)]
        pub struct $error {
            /// For people, in English. Show it, do not compare it.
            pub message: String,
            /// The way to the input field that it is about, such as `["lines", "0", "units"]`; empty for the whole input.
            pub path: Vec<String>,
            /// For programs.
            pub code: $code,
        }

        impl From<crate::graphql::errors::Complaint<$code>> for $error {
            fn from(complaint: crate::graphql::errors::Complaint<$code>) -> Self {
                Self { message: complaint.message, path: complaint.path, code: complaint.code }
            }
        }
    };
}
pub(crate) use user_error;

/// Makes the payload type of a mutation: its fields, all nullable, and `errors`.
macro_rules! payload {
    ($payload:ident, $error:ident { $($(#[doc = $doc:literal])* $field:ident: $type:ty),* $(,)? }) => {
        /// What the mutation answers: its results, or errors that its user can mend.
        #[derive(async_graphql::SimpleObject, Default)]
        pub struct $payload {
            $($(#[doc = $doc])* pub $field: Option<$type>,)*
            /// Empty when the mutation did what was asked.
            pub errors: Vec<$error>,
        }

        impl $payload {
            /// The payload of what was done, or of why not.
            fn of<C>(done: Result<Self, crate::graphql::errors::Stop<C>>) -> async_graphql::Result<Self>
            where
                $error: From<crate::graphql::errors::Complaint<C>>,
            {
                match done {
                    Ok(payload) => Ok(payload),
                    Err(crate::graphql::errors::Stop::Error(error)) => Err(error),
                    Err(crate::graphql::errors::Stop::Complaints(why)) => {
                        let errors = why.into_iter().map($error::from).collect();
                        Ok(Self { errors, ..Self::default() })
                    }
                }
            }
        }
    };
}
pub(crate) use payload;
