//! The endpoint `/graphql` with all its transports, and what surrounds every request.
//!
//! [`graphql`] GraphQL over HTTP, [`live`] the same over connections that stay open; [`bearer`]: the token of
//! a request; [`body`]: reading what is sent, bounded; [`address`]: where a request comes from; [`cors`]:
//! pages of other origins. [`around()`] is wrapped around everything: trace, log line, metrics,
//! [`compression`], security headers. [`connections`] is what all of it is served on.

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

/// An edge: one a process, shared by the workers of its server.
pub struct Edge {
    settings: Settings,
    backend: Arc<dyn Backend>,
    executor: Executor,
    /// The subscriptions that run.
    runs: Arc<Runs>,
    /// The tokens of connections that stay open.
    passes: Arc<Passes>,
    /// The connections that stay open.
    places: Arc<Places>,
    /// Ends them.
    stopping: CancellationToken,
}

impl Edge {
    /// An edge for a schema. Operations are run by the runtime that this is called on; connections that stay
    /// open end with `stopping`.
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

    /// How many mutations have begun and are not done.
    pub fn mutations(&self) -> usize {
        self.executor.mutations()
    }

    /// Waits until the mutations that have begun are done, but no longer than that: for the end of a process,
    /// when nothing more comes in.
    pub async fn finish(&self, within: Duration) {
        self.executor.finish(within).await;
    }
}

/// Adds `/graphql`. Wrap the application in [`around()`].
pub fn configure(config: &mut web::ServiceConfig, edge: &Arc<Edge>) {
    config.app_data(web::Data::from(Arc::clone(edge)));
    let graphql = live::routes(web::resource("/graphql")).route(web::post().to(graphql::post));
    let graphql = graphql.route(web::get().to(graphql::get)).route(web::head().to(graphql::get));
    let graphql = graphql
        .route(web::method(Method::OPTIONS).to(cors::preflight))
        .default_service(web::to(graphql::other));
    config.service(graphql.wrap(from_fn(cors::cors)));
}
