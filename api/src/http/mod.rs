//! The HTTP surface.
//!
//! [`graphql`] the endpoint, [`live`] the same over connections that stay open; [`playground`]; [`webhooks`]; [`links`] the pages
//! that letters link to; [`exports`] a catalogue as a sheet; [`health`]: liveness, readiness, metrics; [`bearer`]: whose a token is; [`body`]: reading what is
//! sent, bounded; [`cors`]: pages of other origins. [`around()`] is wrapped around all of them: trace, log line, metrics,
//! [`compression`], security headers. [`connections`] is what all of it is served on.

mod address;
mod around;
mod bearer;
mod body;
mod compression;
pub mod connections;
pub mod cors;
mod exports;
mod graphql;
pub mod health;
mod links;
mod live;
pub mod playground;
mod webhooks;

use std::{sync::Arc, time::Duration};

use actix_web::{http::Method, middleware::from_fn, web};
use domain::accounts::Viewers;
use tokio::runtime::Handle;

pub use around::around;
pub use graphql::documents;

use crate::{Api, graphql::execute::Executor, live::runs::Runs};

/// How the edge speaks HTTP.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The origins whose pages may read answers.
    pub cors: cors::Cors,
    /// Whether people reach it by HTTPS: then browsers are told to use nothing else.
    pub https: bool,
    /// The longest that a client may take to send a body.
    pub body_within: Duration,
}

impl Default for HttpSettings {
    /// Of a server that is tried out.
    fn default() -> Self {
        Self { cors: cors::Cors::Any, https: false, body_within: Duration::from_secs(20) }
    }
}

/// What handlers share.
struct Edge {
    api: Api,
    executor: Executor,
    viewers: Viewers,
    /// The subscriptions that run.
    runs: Arc<Runs>,
}

/// Adds all routes. Make the edge once a process, with [`edge`], and wrap the application in [`around()`].
pub fn configure(config: &mut web::ServiceConfig, shared: &SharedEdge) {
    let edge = &shared.0;
    config.app_data(edge.clone());
    let graphql = live::routes(web::resource("/graphql")).route(web::post().to(graphql::post));
    let graphql = graphql.route(web::get().to(graphql::get)).route(web::head().to(graphql::get));
    let graphql = graphql.route(web::method(Method::OPTIONS).to(cors::preflight)).default_service(web::to(graphql::other));
    config.service(graphql.wrap(from_fn(cors::cors)));
    config.configure(links::configure);
    config.configure(exports::configure);
    config.service(web::resource("/webhooks/{gateway}").route(web::post().to(webhooks::receive)));
    health::configure(config, &shared.1);
    if let Some(tokens) = &edge.api.playground {
        config.app_data(web::Data::new(tokens.clone()));
        config.configure(playground::configure);
    }
}

/// The edge, shared by the workers of a server.
#[derive(Clone)]
pub struct SharedEdge(web::Data<Edge>, web::Data<health::Operations>);

impl SharedEdge {
    /// How many mutations have begun and are not done.
    pub fn mutations(&self) -> usize {
        self.0.executor.mutations()
    }

    /// Waits until the mutations that have begun are done, but no longer than that: for the end of a process, when nothing more
    /// comes in.
    pub async fn finish(&self, within: Duration) {
        self.0.executor.finish(within).await;
    }
}

/// Makes the edge; the first one of a process builds the schema. Operations are run by the runtime that this is called on.
pub fn edge(api: Api) -> SharedEdge {
    let executor = Executor::new(&api, Handle::current());
    let viewers = Viewers::new(&api.db, Handle::current());
    let runs = Runs::new(executor.clone(), &api.live);
    let operations = health::Operations { db: api.db.clone(), checks: api.checks.clone(), metrics: Arc::clone(&api.metrics) };
    SharedEdge(web::Data::new(Edge { api, executor, viewers, runs }), web::Data::new(operations))
}
