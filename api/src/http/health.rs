//! Liveness, readiness and metrics of the process.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web};
use domain::platform::Db;
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;
use tokio::runtime::Handle;

/// A dependency that takes longer than this to answer a check is too slow for requests as well.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";

/// A check of something that the process needs.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    required: bool,
    ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Check {
    /// Creates a check with a name. The error of `ask` is a sentence for the public. It must not contain
    /// addresses, secrets or the messages of other programs; those belong in the log.
    pub fn new<F, R>(name: &'static str, ask: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, required: true, ask: Arc::new(move || Box::pin(ask())) }
    }

    /// Makes the check informational: its failure is reported, but the process stays ready, because it is
    /// only slower without the dependency.
    pub fn not_required(mut self) -> Self {
        self.required = false;
        self
    }

    /// Runs the check with a time limit: returns `Ok`, or why it failed.
    async fn said(&self) -> (&Self, Result<(), String>) {
        let late = || Err(format!("no answer within {} s", ANSWERS_WITHIN.as_secs()));
        (self, tokio::time::timeout(ANSWERS_WITHIN, (self.ask)()).await.unwrap_or_else(|_| late()))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

fn database(db: &Db) -> Check {
    let db = db.clone();
    Check::new("database", move || {
        let db = db.clone();
        async move {
            db.reader().ping().await.map_err(|error| {
                tracing::warn!(%error, "database does not answer");
                "the database does not answer".to_owned()
            })
        }
    })
}

/// The state behind the operational endpoints of a process, whether it serves or works.
#[derive(Clone)]
pub struct Operations {
    /// The database.
    pub db: Db,
    /// The checks of `/readyz` besides the database.
    pub checks: Vec<Check>,
    /// The runtime that runs the checks. A database connection belongs to the runtime that opened it, so it
    /// must not be one that ends before the process, such as that of a worker of an HTTP server.
    pub runtime: Handle,
    /// Renders the text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Adds `/livez`, `/readyz` and `/metrics`. Create the data once in a process.
pub fn configure(config: &mut web::ServiceConfig, operations: &web::Data<Operations>) {
    config.app_data(operations.clone());
    config.service(web::resource("/livez").route(web::get().to(livez)));
    config.service(web::resource("/readyz").route(web::get().to(readyz)));
    config.service(web::resource("/metrics").route(web::get().to(metrics)));
}

/// Answers as long as the process lives.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).insert_header((CACHE_CONTROL, "no-store")).body("alive\n")
}

/// Runs all checks and reports their results. The status is 503 when a required check fails.
async fn readyz(operations: web::Data<Operations>) -> HttpResponse {
    let checks: Vec<Check> =
        std::iter::once(database(&operations.db)).chain(operations.checks.iter().cloned()).collect();
    let asking = operations.runtime.spawn(async move {
        let said = join_all(checks.iter().map(Check::said)).await;
        said.into_iter().map(|(check, said)| (check.name, check.required, said)).collect::<Vec<_>>()
    });
    let Ok(said) = asking.await else { return HttpResponse::InternalServerError().finish() };
    let missing: Vec<_> = said
        .iter()
        .filter(|(_, required, said)| *required && said.is_err())
        .map(|(name, _, _)| *name)
        .collect();
    if !missing.is_empty() {
        tracing::warn!(?missing, "not ready");
    }
    let ready = missing.is_empty();
    let checks: BTreeMap<_, _> = said
        .into_iter()
        .map(|(name, _, said)| (name, said.err().unwrap_or_else(|| "ok".to_owned())))
        .collect();
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((CACHE_CONTROL, "no-store")).json(json!({ "ready": ready, "checks": checks }))
}

/// Returns the metrics in the text format of Prometheus.
async fn metrics(operations: web::Data<Operations>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body((operations.metrics)())
}
