//! How the API says no.
//!
//! What a user can mend is data: [`UserError`](super::user_error::UserError)s in the payload of a mutation, with codes that are contract.
//! What a programmer must mend is a GraphQL error with one of the codes of [`Code`]. Everything else is
//! `INTERNAL`: logged once with its chain, shown without anything of the inside.

use std::time::Duration;

use async_graphql::{Error, ErrorExtensions, Pos, ServerError};
use domain::platform::{OpError, PathStep, Refused, access::Denied, trace::TraceParent};

/// The closed table of codes in `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Sign in, or send a token that is valid.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// Confirm the e-mail address first.
    EmailUnconfirmed,
    /// An argument is out of bounds.
    BadUserInput,
    /// The request is no GraphQL request: no JSON, no `query`, an operation that the document does not have.
    BadRequest,
    /// The document is not GraphQL.
    ParseFailed,
    /// The document, or a variable, does not fit the schema.
    ValidationFailed,
    /// Running the document would cost more than one request may.
    TooCostly,
    /// The answer took longer than it may.
    DeadlineExceeded,
    /// The caller has spent what it may spend, for now: the error says in how many seconds to come again.
    RateLimited,
    /// There is more to do than can be done in time; nothing was changed. The error says in how many seconds to come again.
    Busy,
    /// The schema is not shown to this viewer.
    IntrospectionDisabled,
    /// No document is known by that hash or id: send it along once. The name is that of Apollo's protocol.
    PersistedQueryNotFound,
    /// This server keeps no documents by their hash. The name is that of Apollo's protocol.
    PersistedQueryNotSupported,
    /// This server answers trusted documents only, and this is none.
    DocumentNotTrusted,
    /// Our fault.
    Internal,
}

impl Code {
    /// As it stands in `extensions.code`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::EmailUnconfirmed => "EMAIL_UNCONFIRMED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::BadRequest => "BAD_REQUEST",
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::TooCostly => "DOCUMENT_TOO_COSTLY",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Busy => "BUSY",
            Self::IntrospectionDisabled => "INTROSPECTION_DISABLED",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::DocumentNotTrusted => "DOCUMENT_NOT_TRUSTED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The same error outside of a resolver.
    pub(crate) fn server_error(self, message: impl Into<String>, at: Option<Pos>) -> ServerError {
        let mut error = ServerError::new(message, at);
        self.mark(&mut error);
        error
    }

    /// Gives an error this code.
    pub(crate) fn mark(self, error: &mut ServerError) {
        error.extensions.get_or_insert_default().set("code", self.name());
    }

    /// An error of this code.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(message).extend_with(|_, extensions| extensions.set("code", self.name()))
    }
}

/// An argument that is out of bounds.
pub(crate) fn bad_input(message: impl Into<String>) -> Error {
    Code::BadUserInput.error(message)
}

/// The name of the seconds to wait in the extensions of an error.
pub(crate) const RETRY_AFTER: &str = "retryAfterSecs";

/// There is more to do than can be done: come again after that time.
pub(crate) fn busy(retry_after: Duration) -> ServerError {
    let secs = whole_secs(retry_after);
    let mut error = Code::Busy.server_error(format!("too much is asked for at once: come again in {secs} s"), None);
    error.extensions.get_or_insert_default().set(RETRY_AFTER, secs);
    error
}

/// The seconds of a time, rounded up, one at least.
pub(crate) fn whole_secs(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Logs a failure of ours with its chain and answers what may be shown of it.
pub(crate) fn internal(failure: &(dyn std::error::Error + 'static)) -> Error {
    let mut chain = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        chain.push_str(": ");
        chain.push_str(&inner.to_string());
        cause = inner.source();
    }
    tracing::error!(error = chain, "a request failed");
    let error = Code::Internal.error("internal error");
    match TraceParent::current() {
        Some(trace) => error.extend_with(|_, extensions| extensions.set("traceId", trace.trace_id())),
        None => error,
    }
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
            error @ OpError::Inconsistent(_) => Self::Error(internal(&error)),
        }
    }
}

/// A refusal, as the payload of a mutation tells it.
pub(crate) fn complaint<C, R: Copy + Into<C> + std::fmt::Display>(refused: Refused<R>) -> Complaint<C> {
    let path = refused.path.iter().map(PathStep::to_string).collect();
    Complaint { code: refused.code.into(), path, message: refused.code.to_string() }
}

/// Makes the error type of a mutation and its code enum from a refusal enum of `domain`, matched exhaustively.
///
/// `user_error!(DropCreateError, DropCreateErrorCode, CreateDropRefusal { SlugTaken, … });`: the codes `INVALID` and
/// `NOT_FOUND` are always there; a refusal of the same name is listed behind `not_found:`. A code whose refusal is one of an enum
/// within the refusals has it in parentheses: `NotShippedThere (Quote(QuoteRefusal::NotShippedThere)): "…"`.
macro_rules! user_error {
    (@pattern $refusal:ident $variant:ident) => { $refusal::$variant { .. } };
    (@pattern $refusal:ident $variant:ident ($($within:tt)+)) => { $refusal::$($within)+ };
    (
        $error:ident, $code:ident,
        $refusal:ident { $($variant:ident $(($($within:tt)+))?: $doc:literal),* $(,)? } $(not_found: $missing:ident)?
    ) => {
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
                    $(crate::graphql::errors::user_error!(@pattern $refusal $variant $(($($within)+))?) => Self::$variant,)*
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
