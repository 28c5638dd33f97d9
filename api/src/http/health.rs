//! Whether the process lives, whether it can serve, and its metrics.

use actix_web::{HttpResponse, web};
use domain::platform::outbox;

use super::Edge;

/// The process answers.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("alive\n")
}

/// The database answers; says what is missing otherwise.
pub(super) async fn readyz(edge: web::Data<Edge>) -> HttpResponse {
    match outbox::unstamped_count(&edge.api.db).await {
        Ok(_) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            HttpResponse::ServiceUnavailable().content_type("text/plain; charset=utf-8").body("not ready: the database does not answer\n")
        }
    }
}

/// Metrics in the text format of Prometheus.
pub(super) async fn metrics(edge: web::Data<Edge>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body((edge.api.metrics)())
}
