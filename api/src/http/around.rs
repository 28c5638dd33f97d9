//! What happens around every request: its trace, its log line, its metrics, the headers of every answer.

use std::time::Instant;

use actix_web::{
    Error,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    middleware::Next,
};
use domain::platform::{entropy::SystemEntropy, trace::TraceParent};
use tracing::Instrument;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Middleware for the whole application: `App::new().wrap(from_fn(api::http::around))`.
pub async fn around(request: ServiceRequest, next: Next<impl MessageBody>) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let began = Instant::now();
    let incoming = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()).and_then(TraceParent::parse);
    let trace = incoming.unwrap_or_else(|| TraceParent::start(&SystemEntropy));
    let (method, path) = (request.method().clone(), request.path().to_owned());
    // The pattern, not the path: a metric must not grow with what clients make up.
    let route = request.match_pattern().unwrap_or_else(|| "unknown".to_owned());
    let span = tracing::info_span!("request", trace_id = trace.trace_id());
    let mut response = trace.clone().scope(next.call(request).instrument(span.clone())).await?;
    let status = response.status();
    let took = began.elapsed();
    span.in_scope(|| {
        let millis = took.as_millis();
        if status.is_server_error() {
            tracing::error!(%method, path, status = status.as_u16(), millis, "answered");
        } else {
            tracing::debug!(%method, path, status = status.as_u16(), millis, "answered");
        }
    });
    let labels = [("route", route), ("status", status.as_str().to_owned())];
    metrics::counter!("smallrun_http_requests_total", &labels).increment(1);
    metrics::histogram!("smallrun_http_request_seconds", &labels[..1]).record(took.as_secs_f64());
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&trace.header()) {
        headers.insert(TRACEPARENT, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(REFERRER_POLICY) {
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    }
    Ok(response)
}
