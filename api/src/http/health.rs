//! Whether the process lives, whether it can serve, and its metrics.

use std::{collections::BTreeMap, fmt, future::Future, sync::Arc, time::Duration};

use actix_web::{HttpResponse, http::header::CACHE_CONTROL, web};
use domain::platform::{Db, outbox};
use futures_util::future::{BoxFuture, join_all};
use serde_json::json;

/// What takes longer than this to say that it is well is of no use to a request either.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

const TEXT: &str = "text/plain; charset=utf-8";

/// Something that must be well for the process to be of use.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    required: bool,
    ask: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Check {
    /// A check of that name. `ask` answers why not in a sentence that everybody may read: no address, no
    /// secret, no text of another program; those belong into the log.
    pub fn new<F, R>(name: &'static str, ask: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, required: true, ask: Arc::new(move || Box::pin(ask())) }
    }

    /// The same of something without which the process is slower, but of use all the same: it is told, and no
    /// more.
    pub fn not_required(mut self) -> Self {
        self.required = false;
        self
    }

    /// What is said of it: `ok`, or why not. Bounded in time.
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
            let asked = outbox::unstamped_count(&db).await;
            asked.map(drop).map_err(|error| {
                tracing::warn!(%error, "the database does not answer");
                "the database does not answer".to_owned()
            })
        }
    })
}

/// What an operator's tools ask of a process, whether it serves or works.
#[derive(Clone)]
pub struct Operations {
    /// The database.
    pub db: Db,
    /// What must be well besides, for `/readyz`.
    pub checks: Vec<Check>,
    /// Renders what `/metrics` shows.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Adds `/livez`, `/readyz` and `/metrics`. Make the data once a process.
pub fn configure(config: &mut web::ServiceConfig, operations: &web::Data<Operations>) {
    config.app_data(operations.clone());
    config.service(web::resource("/livez").route(web::get().to(livez)));
    config.service(web::resource("/readyz").route(web::get().to(readyz)));
    config.service(web::resource("/metrics").route(web::get().to(metrics)));
}

/// The process answers.
async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).insert_header((CACHE_CONTROL, "no-store")).body("alive\n")
}

/// Whether all that the process needs is there: what is missing stands in the answer, whose status is 503
/// then.
async fn readyz(operations: web::Data<Operations>) -> HttpResponse {
    let database = database(&operations.db);
    let said = join_all(std::iter::once(&database).chain(&operations.checks).map(Check::said)).await;
    let missing: Vec<_> = said
        .iter()
        .filter(|(check, said)| check.required && said.is_err())
        .map(|(check, _)| check.name)
        .collect();
    if !missing.is_empty() {
        tracing::warn!(?missing, "not ready");
    }
    let ready = missing.is_empty();
    let checks: BTreeMap<_, _> = said
        .into_iter()
        .map(|(check, said)| (check.name, said.err().unwrap_or_else(|| "ok".to_owned())))
        .collect();
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.insert_header((CACHE_CONTROL, "no-store")).json(json!({ "ready": ready, "checks": checks }))
}

/// Metrics in the text format of Prometheus.
async fn metrics(operations: web::Data<Operations>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body((operations.metrics)())
}
