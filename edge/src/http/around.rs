//! Wraps every request with a trace, a log line, metrics and the security headers.

use std::time::Instant;

use actix_web::{
    Error, HttpMessage,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::header::{
        CONTENT_SECURITY_POLICY, CROSS_ORIGIN_OPENER_POLICY, CROSS_ORIGIN_RESOURCE_POLICY, HeaderMap,
        HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
    middleware::Next,
    web,
};
use tracing::Instrument;

use super::{HttpEdge, compression::compressed};
use crate::trace::RequestTrace;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The operation name of a request, stored for its log line.
pub(super) struct OperationName(pub(super) String);

/// Answers a request that belongs to the given trace and has the given id. For a middleware around the whole
/// application.
///
/// # Errors
///
/// Returns the errors of the inner service.
pub async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    trace: RequestTrace,
    request_id: String,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let https = request.app_data::<web::Data<HttpEdge>>().is_some_and(|edge| edge.settings.http.https);
    let method = request.method().clone();
    // The route pattern, not the path: client-made paths would make the number of metrics grow without bound,
    // and a path may end in a secret.
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
        // Probes arrive every few seconds and are not worth a log line while they succeed.
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
    for (name, value) in [(TRACEPARENT, trace.traceparent()), (REQUEST_ID, request_id.as_str())] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    guard(headers, https);
    Ok(response)
}

/// Adds the headers that stop browsers from misinterpreting an answer or showing it inside another site.
/// Headers that a page has set itself are kept.
fn guard(headers: &mut HeaderMap, https: bool) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in [
        (REFERRER_POLICY, "no-referrer"),
        // An answer of the API is not a page: if a browser opens it as one, it may load, run and frame
        // nothing.
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        // The same as `frame-ancestors` above, for older browsers.
        (X_FRAME_OPTIONS, "DENY"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        // CORS, which this header does not affect, governs scripts of other origins. It stops them from
        // embedding answers as images or frames.
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
