//! The W3C `traceparent` that ties a request to all the work that it causes.
//!
//! The request's trace is stored in outbox and task rows, and the worker continues it. Within a process it
//! travels in a task-local. The log lines carry the trace id.

use std::future::Future;

use super::entropy::Entropy;

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// A trace id and the id of the span that caused the current work (W3C Trace Context, level 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent {
    trace: String,
    span: String,
}

impl TraceParent {
    /// Starts a new trace.
    pub fn start(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0_u8; 24];
        entropy.fill(&mut bytes);
        let text = hex::encode(bytes);
        let (trace, span) = text.split_at(32);
        Self { trace: trace.to_owned(), span: span.to_owned() }
    }

    /// Parses a `traceparent` header; returns `None` when it is malformed or not of version 00.
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let hexadecimal = |text: &str, length: usize| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
                && text.bytes().any(|byte| byte != b'0')
        };
        (version == "00" && hexadecimal(trace, 32) && hexadecimal(span, 16))
            .then(|| Self { trace: trace.to_owned(), span: span.to_owned() })
    }

    /// Returns the trace id: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        &self.trace
    }

    /// Returns the header, with the flags `01` (sampled).
    pub fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    /// Runs `work` within this trace.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Returns the trace of the current work, if there is one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_header_round_trips_and_an_invalid_one_is_ignored() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(header).map(|trace| trace.header()).as_deref(), Some(header));
        for bad in [
            "",
            "00-x-y-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}
