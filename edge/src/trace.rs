//! The trace that a request belongs to, as far as the edge shows it: in answers, in the log, and in the error
//! of a failure.
//!
//! The program behind the edge starts and continues traces, and writes them where it needs them. The edge
//! carries the trace of a request along to every task that works for it.

use std::{future::Future, sync::Arc};

tokio::task_local! {
    static CURRENT: RequestTrace;
}

/// The trace of a request. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTrace(Arc<Ids>);

#[derive(Debug, PartialEq, Eq)]
struct Ids {
    trace_id: String,
    traceparent: String,
}

impl RequestTrace {
    /// A trace by its id, and the W3C `traceparent` that continues it.
    pub fn new(trace_id: String, traceparent: String) -> Self {
        Self(Arc::new(Ids { trace_id, traceparent }))
    }

    /// The trace id: what people search the log for.
    pub fn trace_id(&self) -> &str {
        &self.0.trace_id
    }

    /// The header `traceparent`.
    pub fn traceparent(&self) -> &str {
        &self.0.traceparent
    }

    /// Runs work that belongs to this trace.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// The trace of the present work, if it belongs to one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }
}
