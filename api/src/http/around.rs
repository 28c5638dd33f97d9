//! The middleware that gives each request a trace: the caller's, if it sent one, or a new one.

use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};
use domain::platform::{
    entropy::{Entropy, SystemEntropy},
    trace::TraceParent,
};

use crate::{Api, backend::shown};

/// Answers a request within its trace. This is a middleware for the whole application:
/// `App::new().wrap(from_fn(api::http::around))`.
///
/// # Errors
///
/// Returns the errors of the inner service.
pub async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let incoming = request
        .headers()
        .get("traceparent")
        .and_then(|value| value.to_str().ok())
        .and_then(TraceParent::parse);
    let (trace, request_id) = match request.app_data::<web::Data<Api>>() {
        Some(api) => begin_trace(incoming, api.db.entropy()),
        None => begin_trace(incoming, &SystemEntropy),
    };
    let shown = shown(&trace);
    trace.scope(edge::http::around(request, next, shown, request_id)).await
}

/// Returns the trace of this request and the id of its span, which is also the request id. If there is an
/// incoming trace, the request gets a new span within it.
fn begin_trace(incoming: Option<TraceParent>, entropy: &dyn Entropy) -> (TraceParent, String) {
    let own = TraceParent::start(entropy);
    let span = own.header().split('-').nth(2).unwrap_or_default().to_owned();
    let joined =
        incoming.and_then(|caller| TraceParent::parse(&format!("00-{}-{span}-01", caller.trace_id())));
    (joined.unwrap_or(own), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_span_of_its_own_in_the_trace_of_its_caller() {
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (trace, request_id) = begin_trace(TraceParent::parse(caller), &SystemEntropy);
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.header(), format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{request_id}-01"));
        assert_ne!(request_id, "00f067aa0ba902b7");
        let (alone, request_id) = begin_trace(None, &SystemEntropy);
        assert!(alone.header().contains(&request_id));
    }
}
