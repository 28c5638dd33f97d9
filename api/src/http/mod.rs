//! The HTTP surface.
//!
//! [`graphql`] the endpoint; [`playground`]; [`webhooks`]; [`links`] the pages that letters link to; [`exports`] a catalogue as a sheet; [`health`]: liveness, readiness,
//! metrics; [`body`]: reading what is sent, bounded. [`around()`] is wrapped around all of them: trace, log line, metrics, security headers.

mod address;
mod around;
mod body;
mod exports;
mod graphql;
pub mod health;
mod links;
pub mod playground;
mod webhooks;

use std::sync::Arc;

use actix_web::{http::Method, web};

pub use around::around;

use crate::Api;

/// What handlers share.
struct Edge {
    api: Api,
    schema: crate::Schema,
}

/// Adds all routes. Make the edge once a process, with [`edge`], and wrap the application in [`around()`].
pub fn configure(config: &mut web::ServiceConfig, shared: &SharedEdge) {
    let edge = &shared.0;
    config.app_data(edge.clone());
    let graphql = web::resource("/graphql").route(web::post().to(graphql::post)).route(web::get().to(graphql::get));
    config.service(graphql.route(web::method(Method::OPTIONS).to(graphql::preflight)));
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

/// Makes the edge: the schema is built here.
pub fn edge(api: Api) -> SharedEdge {
    let schema = crate::schema(&api);
    let operations = health::Operations { db: api.db.clone(), checks: api.checks.clone(), metrics: Arc::clone(&api.metrics) };
    SharedEdge(web::Data::new(Edge { api, schema }), web::Data::new(operations))
}
