//! What happens around every request: its trace, its log line, its metrics, the headers of every answer.

use std::time::Instant;

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{
        CONTENT_SECURITY_POLICY, CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap, HeaderName, HeaderValue,
        REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
    middleware::Next,
    web,
};
use domain::platform::{
    entropy::{Entropy, SystemEntropy},
    trace::TraceParent,
};
use tracing::Instrument;

use super::{Edge, compression::compressed};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of the operation that a request ran, left for its log line.
pub(super) struct OperationName(pub(super) String);

/// Middleware for the whole application: `App::new().wrap(from_fn(api::http::around))`.
pub async fn around(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let https = request.app_data::<web::Data<Edge>>().is_some_and(|edge| edge.api.http.https);
    let incoming = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(TraceParent::parse);
    let (trace, request_id) = match request.app_data::<web::Data<Edge>>() {
        Some(edge) => begin(incoming, edge.api.db.entropy()),
        None => begin(incoming, &SystemEntropy),
    };
    let method = request.method().clone();
    // The pattern, not the path: a metric must not grow with what clients make up, and a path may end in a secret.
    let route = request.match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let span = tracing::info_span!("request", trace_id = trace.trace_id(), request_id);
    let response = trace.clone().scope(next.call(request).instrument(span.clone())).await?;
    let mut response = compressed(response.map_into_boxed_body()).await;
    let status = response.status();
    let took = began.elapsed();
    span.in_scope(|| {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let extensions = response.request().extensions();
        let operation = extensions.get::<OperationName>().map(|OperationName(name)| name.as_str());
        // Probes come every few seconds for ever, and say nothing while they are well.
        if matches!(route.as_str(), "/livez" | "/readyz" | "/metrics") && status.is_success() {
            tracing::debug!(%method, route, status = status.as_u16(), millis, "request");
        } else {
            tracing::info!(%method, route, status = status.as_u16(), millis, operation, "request");
        }
    });
    let labels = [("route", route), ("status", status.as_str().to_owned())];
    metrics::counter!("smallrun_http_requests_total", &labels).increment(1);
    metrics::histogram!("smallrun_http_request_seconds", &labels[..1]).record(took.as_secs_f64());
    let headers = response.headers_mut();
    for (name, value) in [(TRACEPARENT, trace.header()), (REQUEST_ID, request_id)] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    guard(headers, https);
    Ok(response)
}

/// The headers that keep an answer from being taken for something else, or from being shown inside another site. What a page says
/// for itself stands.
fn guard(headers: &mut HeaderMap, https: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in [
        (REFERRER_POLICY, "no-referrer"),
        // An answer of the API is no page: opened as one it may load, run and frame nothing.
        (CONTENT_SECURITY_POLICY, "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        // As the policy's last word, for browsers from before it.
        (X_FRAME_OPTIONS, "DENY"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        // Scripts of other origins read by CORS, which this leaves alone; images and frames of theirs have nothing to load here.
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if https {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// The trace of this request, and the id of its own span, which names the request: the caller's trace goes on, if there is one.
fn begin(incoming: Option<TraceParent>, entropy: &dyn Entropy) -> (TraceParent, String) {
    let own = TraceParent::start(entropy);
    let span = own.header().split('-').nth(2).unwrap_or_default().to_owned();
    let joined = incoming.and_then(|caller| TraceParent::parse(&format!("00-{}-{span}-01", caller.trace_id())));
    (joined.unwrap_or(own), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_span_of_its_own_in_the_trace_of_its_caller() {
        let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let (trace, request_id) = begin(TraceParent::parse(caller), &SystemEntropy);
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.header(), format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{request_id}-01"));
        assert_ne!(request_id, "00f067aa0ba902b7");
        let (alone, request_id) = begin(None, &SystemEntropy);
        assert!(alone.header().contains(&request_id));
    }
}
