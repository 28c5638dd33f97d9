//! Waiting for the database schema. On PostgreSQL only `smallrun migrate up` changes it, so that many
//! processes can start at once and a deployment decides when the schema changes.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::{CACHE_CONTROL, RETRY_AFTER},
    web,
};
use api::Check;
use domain::platform::Db;
use tokio::runtime::Handle;

use crate::{
    config::Config,
    database,
    exit::{Failure, Outcome},
    terminal,
    wiring::{self, Signals},
};

/// How often the applied migrations are read, and the `Retry-After` of requests in the meantime.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// What renders the text of `/metrics`.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Waits until all migrations of this program are applied. Meanwhile the process listens on `listening`:
/// `/livez` answers 200, `/readyz` answers 503 and says which migrations are missing, and any other request
/// gets 503. Returns `None` if a signal to stop arrives first.
pub(crate) async fn until_current(
    config: &Config,
    db: Db,
    listening: Option<(&TcpListener, SocketAddr)>,
    metrics: &Metrics,
) -> Outcome<Option<Db>> {
    let missing = database::pending(config, &db).await?;
    if missing > 0 {
        let mut signals = Signals::listen()?;
        let waiting = tokio::select! {
            waited = wait(&db, missing, listening, metrics) => waited.map(Some)?,
            () = signals.next() => None,
        };
        if waiting.is_none() {
            database::close(db).await;
            return Ok(None);
        }
    }
    Ok(Some(database::on_time(config, db).await?))
}

async fn wait(
    db: &Db,
    missing: usize,
    listening: Option<(&TcpListener, SocketAddr)>,
    metrics: &Metrics,
) -> Outcome {
    let server = listening.map(|(listener, _)| serve_probes(db, listener, metrics)).transpose()?;
    tracing::warn!(missing, "waiting for database migrations; run `smallrun migrate up`");
    let at = listening
        .map(|(_, address)| format!(" Probes answer on http://{address}/readyz."))
        .unwrap_or_default();
    terminal::answer(&format!("Waiting for {missing} database migrations. Run `smallrun migrate up`.{at}\n"));
    loop {
        tokio::time::sleep(POLL_EVERY).await;
        match database::lack(db).await {
            Ok(None) => break,
            Ok(Some(_)) => {}
            Err(error) => tracing::warn!(%error, "could not read which migrations are applied; retrying"),
        }
    }
    tracing::info!("all database migrations are applied");
    if let Some(server) = server {
        // A graceful stop would accept connections that nobody answers any more.
        server.stop(false).await;
    }
    Ok(())
}

fn serve_probes(db: &Db, listener: &TcpListener, metrics: &Metrics) -> Outcome<actix_web::dev::ServerHandle> {
    // Even when the last migration is applied, the server behind these probes has yet to start.
    let server =
        Check::new("server", async || Err("not started: it waits for database migrations".to_owned()));
    let checks = vec![wiring::schema_check(db), server];
    let (db, metrics, runtime) = (db.clone(), Arc::clone(metrics), Handle::current());
    let operations = web::Data::new(api::Operations { db, checks, runtime, metrics });
    let unexpected = |cause: std::io::Error| Failure::unexpected("listen", &cause);
    let server = HttpServer::new(move || {
        App::new()
            .configure(|routes| api::http::health::configure(routes, &operations))
            .default_service(web::to(unavailable))
    });
    let server = server.workers(1).disable_signals().listen(listener.try_clone().map_err(unexpected)?);
    let server = server.map_err(unexpected)?.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(handle)
}

async fn unavailable() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((RETRY_AFTER, POLL_EVERY.as_secs().to_string()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .content_type("text/plain; charset=utf-8")
        .body("the server waits for database migrations\n")
}
