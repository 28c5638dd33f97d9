//! The GraphQL schema and the HTTP surface of the marketplace.
//!
//! - [`graphql`] is the schema, with one module for each capability.
//! - [`http`] serves `/graphql`, `/playground`, `/webhooks/{gateway}`, `/metrics`, `/livez`, `/readyz`,
//!   `/creators/{id}/products.csv` and the pages that letters link to.
//! - [`live`] connects the facts of the deployment with its subscriptions.
//!
//! Architecture invariant: this crate contains no rule, no SQL and no transaction. A resolver calls a domain
//! function and shapes its answer.

mod backend;
pub mod graphql;
pub mod http;
pub mod live;

use std::sync::{Arc, LazyLock};

use async_graphql::SDLExportOptions;
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    payments::gateways::Gateways,
    platform::Db,
    reservations::desk::{Desk, DeskSettings},
};

use graphql::amendments::Amendments;

pub use graphql::{Mutation, Query, Subscription};
pub use http::{
    health::{Check, Operations},
    playground::DemoTokens,
};
pub use live::Live;

/// The GraphQL schema.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// Everything the API is built from.
#[derive(Clone)]
pub struct Api {
    /// The database.
    pub db: Db,
    /// The payment gateways of the deployment.
    pub gateways: Gateways,
    /// The settings of the edge in front of the API.
    pub edge: edge::Settings,
    /// The demo's tokens for the playground; `None` when the playground is not served.
    pub playground: Option<DemoTokens>,
    /// The checks of `/readyz` besides the database, which is always checked.
    pub checks: Vec<Check>,
    /// Renders the text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The desk that decides reservations.
    pub desk: Desk,
    /// The source of live updates.
    pub live: Live,
}

impl Api {
    /// Creates an API for trying it out, as tests do: everything is open, with the usual limits, and there is
    /// no service besides the database. Must be called on a Tokio runtime, where live updates run.
    pub fn over(db: &Db) -> Self {
        Self {
            db: db.clone(),
            gateways: Gateways::none(),
            edge: edge::Settings::default(),
            playground: None,
            checks: Vec::new(),
            metrics: Arc::new(String::new),
            desk: Desk::new(db, DeskSettings::default()),
            live: Live::start(db),
        }
    }
}

/// The deepest nesting that async-graphql accepts, which is the maximum of `query_nesting_max`. The guard has
/// already applied a stricter limit to every document.
const NESTING_MOST: usize = 100;

/// The open and the closed schema. They depend neither on a database nor on an edge, so they are built once
/// in a process.
static SCHEMAS: LazyLock<(Schema, Schema)> = LazyLock::new(|| {
    let bounded = || builder().limit_recursive_depth(NESTING_MOST);
    (bounded().finish(), bounded().disable_introspection().disable_suggestions().finish())
});

/// Returns the schema for viewers who may use introspection, or for those who may not. The latter refuses
/// introspection and suggests no names in its errors.
pub fn schema(is_shown: bool) -> &'static Schema {
    let (open, closed) = &*SCHEMAS;
    if is_shown { open } else { closed }
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .register_output_type::<Amendments>()
        .override_output_type_description::<DateTime<Utc>>(
            "An instant in the format of RFC 3339, such as `2026-03-02T10:00:00Z`. Answers are in UTC; \
             inputs may have any offset.",
        )
        .override_output_type_description::<NaiveDate>(
            "A calendar date in the format of RFC 3339, such as `2026-03-02`.",
        )
}

/// Returns the schema in the schema definition language, sorted, as committed in `schema.graphql`.
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .prefer_single_line_descriptions();
    let mut text = SCHEMAS.0.sdl_with_options(options).trim().to_owned();
    text.push('\n');
    text
}
