//! The endpoint `/graphql` over all its transports, and what applies to every request.
//!
//! - [`graphql`] serves GraphQL over HTTP.
//! - [`live`] serves connections that stay open: WebSockets and server-sent events.
//! - [`bearer`] reads the bearer token of a request.
//! - [`body`] reads bodies, bounded in size and time.
//! - [`address`] finds out the client's address.
//! - [`cors`] controls access from pages of other origins.
//! - [`around()`] wraps every request: trace, log line, metrics, [`compression`] and security headers.
//! - [`connections`] accepts and limits the TCP connections below all of it.

pub mod address;
mod around;
pub mod bearer;
pub mod body;
mod compression;
pub mod connections;
pub mod cors;
mod graphql;
mod live;

use std::{sync::Arc, time::Duration};

use actix_web::{http::Method, middleware::from_fn, web};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub use around::around;
pub use graphql::documents;

use crate::{
    backend::Backend,
    execute::Executor,
    guard::SchemaProfile,
    live::{passes::Passes, places::Places, runs::Runs},
    settings::Settings,
};

/// The edge of a process, shared by the workers of its server.
pub struct HttpEdge {
    settings: Settings,
    backend: Arc<dyn Backend>,
    executor: Executor,
    /// The subscriptions that run.
    runs: Arc<Runs>,
    /// The tokens of connections that stay open.
    passes: Arc<Passes>,
    /// The connections that stay open.
    places: Arc<Places>,
    /// Cancelled at shutdown to close them.
    stopping: CancellationToken,
}

impl HttpEdge {
    /// Starts an edge for a schema. Operations run on the current runtime. Connections that stay open are
    /// closed when `stopping` is cancelled.
    pub fn start(
        settings: Settings,
        schema: &'static SchemaProfile,
        backend: Arc<dyn Backend>,
        stopping: CancellationToken,
    ) -> Arc<Self> {
        let runtime = Handle::current();
        let executor = Executor::new(&settings, schema, Arc::clone(&backend), runtime.clone());
        let runs = Runs::new(executor.clone(), Arc::clone(&backend), runtime.clone(), stopping.clone());
        let passes = Arc::new(Passes::new(Arc::clone(&backend)));
        runtime.spawn(Arc::clone(&passes).check(stopping.clone()));
        let places = Arc::new(Places::new(settings.live));
        Arc::new(Self { settings, backend, executor, runs, passes, places, stopping })
    }

    /// Returns the number of running mutations.
    pub fn mutations(&self) -> usize {
        self.executor.mutations()
    }

    /// Waits for running mutations to finish, at most for the given time. For use at shutdown, when no new
    /// requests arrive.
    pub async fn finish(&self, within: Duration) {
        self.executor.finish(within).await;
    }
}

/// Adds the route `/graphql`. Wrap the application in [`around()`].
pub fn configure(config: &mut web::ServiceConfig, edge: &Arc<HttpEdge>) {
    config.app_data(web::Data::from(Arc::clone(edge)));
    let graphql = live::routes(web::resource("/graphql")).route(web::post().to(graphql::post));
    let graphql = graphql.route(web::get().to(graphql::get)).route(web::head().to(graphql::get));
    let graphql = graphql
        .route(web::method(Method::OPTIONS).to(cors::preflight))
        .default_service(web::to(graphql::other));
    config.service(graphql.wrap(from_fn(cors::cors)));
}
