//! Whether the process lives, whether it can serve, and its metrics.

use std::time::Duration;

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web};
use domain::platform::outbox;

use super::Edge;

/// A database that takes longer is of no use to a request either.
const DATABASE_ANSWERS_WITHIN: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";

/// The process answers.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).insert_header((CACHE_CONTROL, "no-store")).body("alive\n")
}

/// The database answers; says how many facts wait for the relay.
pub(super) async fn readyz(edge: web::Data<Edge>) -> HttpResponse {
    let why = match tokio::time::timeout(DATABASE_ANSWERS_WITHIN, outbox::unstamped_count(&edge.api.db)).await {
        Ok(Ok(waiting)) => {
            let text = format!("ready\nfacts that wait for the relay: {waiting}\n");
            return HttpResponse::Ok().content_type(TEXT).insert_header((CACHE_CONTROL, "no-store")).body(text);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", DATABASE_ANSWERS_WITHIN.as_secs()),
    };
    tracing::warn!(error = why, "not ready");
    let text = "not ready: the database does not answer\n";
    HttpResponse::ServiceUnavailable().content_type(TEXT).insert_header((CACHE_CONTROL, "no-store")).body(text)
}

/// Metrics in the text format of Prometheus.
pub(super) async fn metrics(edge: web::Data<Edge>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body((edge.api.metrics)())
}
