//! Webhooks of payment gateways. They are verified, stored in the inbox and acknowledged; a task applies
//! them.

use actix_web::{HttpRequest, HttpResponse, web};
use domain::{
    payments::{gateway::WebhookError, receive_webhook},
    platform::access::SystemScope,
};
use edge::http::body::{Bounds, read_body};

use crate::Api;

/// The longest body of a webhook, in bytes.
const BODY_MAX: usize = 256 * 1024;

/// `POST /webhooks/{gateway}`.
pub(super) async fn receive(
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Payload,
    api: web::Data<Api>,
) -> HttpResponse {
    let text = |status: actix_web::http::StatusCode, text: &'static str| {
        HttpResponse::build(status).content_type("text/plain").body(text)
    };
    use actix_web::http::StatusCode as S;
    let gateways = &api.gateways;
    if !gateways.has_name(&name) {
        return text(S::NOT_FOUND, "no such gateway\n");
    }
    let bounds = Bounds { bytes_max: BODY_MAX, within: api.edge.http.body_within };
    let body = match read_body(&request, body, bounds).await {
        Ok(body) => body,
        Err(unread) => return text(unread.status(), "the body cannot be read\n"),
    };
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let (gateway, event) = match gateways.verify_webhook(&name, header, &body) {
        Ok(verified) => verified,
        Err(WebhookError::BadSignature) => return text(S::BAD_REQUEST, "bad signature\n"),
        Err(WebhookError::Malformed) => return text(S::BAD_REQUEST, "not an event\n"),
    };
    let body = String::from_utf8_lossy(&body);
    match receive_webhook(&api.db, &SystemScope::new("webhook"), gateway.identity(), &event, &body).await {
        Ok(()) => text(S::OK, "taken\n"),
        Err(error) => {
            tracing::error!(%error, gateway = %gateway.identity(), "webhook could not be stored");
            text(S::SERVICE_UNAVAILABLE, "try again\n")
        }
    }
}
