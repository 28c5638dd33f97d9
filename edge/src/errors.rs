//! How the edge says no: the closed table of codes in `extensions.code`, and what is shown of a failure.
//!
//! Everything that is not in the table is `INTERNAL`: logged once with its chain, shown without anything of
//! the inside.

use std::time::Duration;

use async_graphql::{Error, ErrorExtensions, Pos, ServerError};

use crate::trace::RequestTrace;

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
    /// There is more to do than can be done in time; nothing was changed. The error says in how many seconds
    /// to come again.
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
    pub fn server_error(self, message: impl Into<String>, at: Option<Pos>) -> ServerError {
        let mut error = ServerError::new(message, at);
        self.mark(&mut error);
        error
    }

    /// Gives an error this code.
    pub fn mark(self, error: &mut ServerError) {
        error.extensions.get_or_insert_default().set("code", self.name());
    }

    /// An error of this code.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(message).extend_with(|_, extensions| extensions.set("code", self.name()))
    }
}

/// The name of the seconds to wait in the extensions of an error.
pub const RETRY_AFTER: &str = "retryAfterSecs";

/// There is more to do than can be done: come again after that time.
pub fn busy(retry_after: Duration) -> ServerError {
    let secs = whole_secs(retry_after);
    let mut error =
        Code::Busy.server_error(format!("too much is asked for at once: come again in {secs} s"), None);
    error.extensions.get_or_insert_default().set(RETRY_AFTER, secs);
    error
}

/// The seconds of a time, rounded up, one at least.
pub fn whole_secs(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Logs a failure of ours with its chain and answers what may be shown of it.
pub fn internal(failure: &(dyn std::error::Error + 'static)) -> Error {
    let mut chain = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        chain.push_str(": ");
        chain.push_str(&inner.to_string());
        cause = inner.source();
    }
    tracing::error!(error = chain, "a request failed");
    let error = Code::Internal.error("internal error");
    match RequestTrace::current() {
        Some(trace) => error.extend_with(|_, extensions| extensions.set("traceId", trace.trace_id())),
        None => error,
    }
}
