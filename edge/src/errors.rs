//! The errors of the edge: the closed table of codes in `extensions.code`, and how failures are shown to
//! clients.
//!
//! A failure that has no code of its own is `INTERNAL`. It is logged once with its chain of causes, and the
//! client sees no internal details.

use std::time::Duration;

use async_graphql::{Error, ErrorExtensions, Pos, ServerError};

use crate::trace::RequestTrace;

/// The closed table of codes in `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The request needs a valid token: sign in.
    Unauthenticated,
    /// The caller is known but not allowed to do this.
    Forbidden,
    /// The e-mail address must be confirmed first.
    EmailUnconfirmed,
    /// An argument is out of bounds.
    BadUserInput,
    /// The request is not a GraphQL request: it is not JSON, has no `query`, or names an operation that the
    /// document does not have.
    BadRequest,
    /// The document is not valid GraphQL syntax.
    ParseFailed,
    /// The document or a variable does not fit the schema.
    ValidationFailed,
    /// The document would cost more than one request may.
    TooCostly,
    /// The request took longer than its deadline.
    DeadlineExceeded,
    /// The caller's budget is used up for now. The error says after how many seconds to retry.
    RateLimited,
    /// The server is overloaded, and nothing was changed. The error says after how many seconds to retry.
    Busy,
    /// This viewer may not introspect the schema.
    IntrospectionDisabled,
    /// No document is stored under this hash or id: send the hash with the text once. Apollo's protocol
    /// defines this code.
    PersistedQueryNotFound,
    /// This server does not store documents by hash. Apollo's protocol defines this code.
    PersistedQueryNotSupported,
    /// This server runs trusted documents only, and this document is not one of them.
    DocumentNotTrusted,
    /// A failure of the server.
    Internal,
}

impl Code {
    /// Returns the value of `extensions.code`.
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

    /// Returns an error with this code, for failures outside of resolvers. `at` is the position in the
    /// document.
    pub fn server_error(self, message: impl Into<String>, at: Option<Pos>) -> ServerError {
        let mut error = ServerError::new(message, at);
        self.mark(&mut error);
        error
    }

    /// Sets this code on an error.
    pub fn mark(self, error: &mut ServerError) {
        error.extensions.get_or_insert_default().set("code", self.name());
    }

    /// Returns an error with this code, for a resolver.
    pub fn error(self, message: impl Into<String>) -> Error {
        Error::new(message).extend_with(|_, extensions| extensions.set("code", self.name()))
    }
}

/// The key in `extensions` of the number of seconds after which to retry.
pub const RETRY_AFTER: &str = "retryAfterSecs";

/// Returns a `BUSY` error, which says when to retry.
pub fn busy(retry_after: Duration) -> ServerError {
    let secs = whole_secs(retry_after);
    let mut error = Code::Busy.server_error(format!("the server is busy: retry in {secs} s"), None);
    error.extensions.get_or_insert_default().set(RETRY_AFTER, secs);
    error
}

/// Returns a duration in whole seconds, rounded up, but at least one second.
pub fn whole_secs(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Logs an internal failure with its chain of causes and returns the error to show.
pub fn internal(failure: &(dyn std::error::Error + 'static)) -> Error {
    let mut chain = failure.to_string();
    let mut cause = failure.source();
    while let Some(inner) = cause {
        chain.push_str(": ");
        chain.push_str(&inner.to_string());
        cause = inner.source();
    }
    tracing::error!(error = chain, "request failed");
    let error = Code::Internal.error("internal error");
    match RequestTrace::current() {
        Some(trace) => error.extend_with(|_, extensions| extensions.set("traceId", trace.trace_id())),
        None => error,
    }
}
