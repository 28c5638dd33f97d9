//! The GraphQL schema and the HTTP surface.
//!
//! [`graphql`] the schema, one module a capability; [`http`] the edge: `/graphql`, `/playground`,
//! `/webhooks/{gateway}`, `/metrics`, `/livez`, `/readyz`, `/creators/{id}/products.csv`; [`live`] what
//! stands between the facts of the deployment and its subscriptions. Architecture invariant: no rule, no SQL
//! and no transaction here; a resolver names a domain function and shapes its answer.

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

/// The schema.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// What the API is made of.
#[derive(Clone)]
pub struct Api {
    /// The database.
    pub db: Db,
    /// The payment gateways of this deployment.
    pub gateways: Gateways,
    /// How the edge in front of it is set.
    pub edge: edge::Settings,
    /// The playground, if it is served, with the demo's tokens.
    pub playground: Option<DemoTokens>,
    /// What else must be well for `/readyz` to say so, besides the database that the edge asks itself.
    pub checks: Vec<Check>,
    /// Renders what `/metrics` shows.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Where reservations are asked for.
    pub desk: Desk,
    /// What is watched as it changes.
    pub live: Live,
}

impl Api {
    /// An API that is tried out, by a test say: everything is open, with the usual bounds, and nothing stands
    /// beside the database. It is to be made on a runtime, which follows what happens.
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

/// The deepest nesting that the library lets through: the most that `query_nesting_max` may be set to. The
/// guard has bounded all documents by then, more strictly.
const NESTING_MOST: usize = 100;

/// The schema, open and closed. Nothing in it belongs to a database or to an edge, so it is built once a
/// process.
static SCHEMAS: LazyLock<(Schema, Schema)> = LazyLock::new(|| {
    let bounded = || builder().limit_recursive_depth(NESTING_MOST);
    (bounded().finish(), bounded().disable_introspection().disable_suggestions().finish())
});

/// The schema, for those to whom it is shown, or for those to whom it is not: the latter answers no questions
/// about itself, and its errors do not say which field of another name was meant.
pub fn schema(is_shown: bool) -> &'static Schema {
    let (open, closed) = &*SCHEMAS;
    if is_shown { open } else { closed }
}

fn builder() -> async_graphql::SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .register_output_type::<Amendments>()
        .override_output_type_description::<DateTime<Utc>>(
            "An instant, after RFC 3339, such as `2026-03-02T10:00:00Z`. Answers are in UTC; inputs may have any offset.",
        )
        .override_output_type_description::<NaiveDate>("A date of the calendar, after RFC 3339, such as `2026-03-02`.")
}

/// The schema in the schema definition language, sorted: what is committed as `schema.graphql`.
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
