//! The trace of a request, as the edge shows it: in answers, in the log, and in internal errors.
//!
//! The program behind the edge starts and continues traces and stores them where it needs them. The edge
//! carries the trace of a request into every task that works for it.

use std::{future::Future, sync::Arc};

tokio::task_local! {
    static CURRENT: RequestTrace;
}

/// The trace of a request. It is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTrace(Arc<Ids>);

#[derive(Debug, PartialEq, Eq)]
struct Ids {
    trace_id: String,
    traceparent: String,
}

impl RequestTrace {
    /// Creates a trace from its id and the W3C `traceparent` that continues it.
    pub fn new(trace_id: String, traceparent: String) -> Self {
        Self(Arc::new(Ids { trace_id, traceparent }))
    }

    /// Returns the trace id, by which the log is searched.
    pub fn trace_id(&self) -> &str {
        &self.0.trace_id
    }

    /// Returns the value of the `traceparent` header.
    pub fn traceparent(&self) -> &str {
        &self.0.traceparent
    }

    /// Runs a future within this trace.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Returns the trace of the current task, if any.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }
}
