//! The HTTP surface.
//!
//! `/graphql`, and what surrounds every request, is the edge's ([`edge::http`]). Besides there are the
//! [`playground`]; [`webhooks`]; [`links`] the pages that letters link to; [`exports`] a catalogue as a
//! sheet; [`health`]: liveness, readiness, metrics. [`around()`] is wrapped around all of them.

mod around;
mod exports;
pub mod health;
mod links;
pub mod playground;
mod webhooks;

use std::{sync::Arc, time::Duration};

use actix_web::web;
use edge::Edge;

pub use around::around;

use crate::{Api, backend::ApiBackend, graphql::work::profile};

/// Adds all routes. Make the edge once a process, with [`edge()`], and wrap the application in [`around()`].
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
    edge: Arc<Edge>,
    api: web::Data<Api>,
    backend: Arc<ApiBackend>,
    operations: web::Data<health::Operations>,
}

impl SharedEdge {
    /// How many mutations have begun and are not done.
    pub fn mutations(&self) -> usize {
        self.edge.mutations()
    }

    /// Waits until the mutations that have begun are done, but no longer than that: for the end of a process,
    /// when nothing more comes in.
    pub async fn finish(&self, within: Duration) {
        self.edge.finish(within).await;
    }
}

/// Makes the edge; the first one of a process builds the schema. Operations are run by the runtime that this
/// is called on.
pub fn edge(api: Api) -> SharedEdge {
    let backend = Arc::new(ApiBackend::new(&api));
    let edge = Edge::start(
        api.edge.clone(),
        profile(),
        Arc::<ApiBackend>::clone(&backend),
        api.live.stopping().clone(),
    );
    let operations = health::Operations {
        db: api.db.clone(),
        checks: api.checks.clone(),
        metrics: Arc::clone(&api.metrics),
    };
    SharedEdge { edge, backend, operations: web::Data::new(operations), api: web::Data::new(api) }
}
