//! The HTTP surface.
//!
//! [`edge::http`] serves `/graphql` and wraps every request. This module adds:
//!
//! - [`playground`]: GraphiQL with examples.
//! - [`webhooks`]: the webhooks of payment gateways.
//! - [`links`]: the pages that letters link to.
//! - [`exports`]: a creator's catalogue as a CSV file.
//! - [`printed`]: packing lists and address labels, as pages to print.
//! - [`html`]: texts of others within HTML.
//! - [`health`]: liveness, readiness and metrics.
//! - [`around()`]: the middleware around all of them.

mod around;
mod downloads;
mod exports;
pub mod health;
pub mod html;
mod links;
pub mod playground;
pub mod printed;
mod webhooks;

use std::{sync::Arc, time::Duration};

use actix_web::web;
use edge::HttpEdge;

pub use around::around;

use crate::{Api, backend::ApiBackend, graphql::work::profile};

/// Adds all routes. Create the edge once in a process, with [`edge()`], and wrap the application in
/// [`around()`].
pub fn configure(config: &mut web::ServiceConfig, shared: &SharedEdge) {
    let SharedEdge { edge, api, backend, operations } = shared;
    config.app_data(api.clone()).app_data(web::Data::from(Arc::clone(backend)));
    edge::http::configure(config, edge);
    config.configure(links::configure);
    config.configure(exports::configure);
    config.service(web::resource("/webhooks/{gateway}").route(web::post().to(webhooks::receive)));
    health::configure(config, operations);
    if let Some(tokens) = &api.playground {
        config.app_data(web::Data::new(tokens.clone()));
        config.configure(playground::configure);
    }
}

/// The edge with the API behind it, shared by the workers of a server.
#[derive(Clone)]
pub struct SharedEdge {
    edge: Arc<HttpEdge>,
    api: web::Data<Api>,
    backend: Arc<ApiBackend>,
    operations: web::Data<health::Operations>,
}

impl SharedEdge {
    /// Returns the number of running mutations.
    pub fn mutations(&self) -> usize {
        self.edge.mutations()
    }

    /// Waits for running mutations to finish, at most for the given time. For use at shutdown, when no new
    /// requests arrive.
    pub async fn finish(&self, within: Duration) {
        self.edge.finish(within).await;
    }
}

/// Creates the edge. Operations run on the current runtime. The first call in a process builds the schema.
pub fn edge(api: Api) -> SharedEdge {
    let backend = Arc::new(ApiBackend::new(&api));
    let edge = HttpEdge::start(
        api.edge.clone(),
        profile(),
        Arc::<ApiBackend>::clone(&backend),
        api.live.stopping().clone(),
    );
    let operations = health::Operations {
        runtime: tokio::runtime::Handle::current(),
        db: api.db.clone(),
        checks: api.checks.clone(),
        metrics: Arc::clone(&api.metrics),
    };
    SharedEdge { edge, backend, operations: web::Data::new(operations), api: web::Data::new(api) }
}
