//! The GraphQL schema and the HTTP surface.
//!
//! [`graphql`] the schema, one module a capability; [`http`] the edge: `/graphql`, `/playground`, `/webhooks/{gateway}`, `/metrics`,
//! `/livez`, `/readyz`, `/creators/{id}/products.csv`; [`live`] what stands between the facts of the deployment and its subscriptions.
//! Architecture invariant: no rule, no SQL and no transaction here; a resolver names a
//! domain function and shapes its answer.

pub mod graphql;
pub mod http;
pub mod live;

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_graphql::{MergedObject, MergedSubscription, SDLExportOptions};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    payments::gateways::Gateways,
    platform::Db,
    reservations::desk::{Desk, DeskSettings},
};

use graphql::{
    accounts::{
        AccountsMutation, AccountsQuery,
        sessions::SessionsMutation,
        tokens::{TokensMutation, TokensQuery},
    },
    amendments::Amendments,
    catalog::{
        CatalogMutation, CatalogQuery,
        imports::{ImportsMutation, ImportsQuery},
    },
    creators::{CreatorsMutation, CreatorsQuery},
    drops::{DropsMutation, DropsQuery, DropsSubscription, items::DropItemsMutation},
    introspection::Schemas,
    node::NodeQuery,
    platform::{
        PlatformQuery,
        tasks::{TasksMutation, TasksQuery},
    },
    reservations::{
        ReservationsMutation, ReservationsQuery, ReservationsSubscription,
        quote::QuoteQuery,
        tables::{TablesMutation, TablesQuery},
    },
};

pub use graphql::{budget::BudgetSettings, guard::Limits, introspection::SchemaAudience, uploads::UploadRules};
pub use http::{
    HttpSettings,
    cors::Cors,
    documents::{Documents, TrustedDocuments, TrustedDocumentsError},
    health::{Check, Operations},
    playground::DemoTokens,
};
pub use live::{Live, LiveBounds};

/// What may be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    NodeQuery,
    AccountsQuery,
    TokensQuery,
    CreatorsQuery,
    CatalogQuery,
    ImportsQuery,
    DropsQuery,
    ReservationsQuery,
    QuoteQuery,
    TablesQuery,
    PlatformQuery,
    TasksQuery,
);

/// What may be done.
#[derive(MergedObject, Default)]
pub struct Mutation(
    AccountsMutation,
    SessionsMutation,
    TokensMutation,
    CreatorsMutation,
    CatalogMutation,
    ImportsMutation,
    DropsMutation,
    DropItemsMutation,
    ReservationsMutation,
    TablesMutation,
    TasksMutation,
);

/// What can be watched as it changes.
#[derive(MergedSubscription, Default)]
pub struct Subscription(DropsSubscription, ReservationsSubscription);

/// The schema.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// What the edge is made of.
#[derive(Clone)]
pub struct Api {
    /// The database.
    pub db: Db,
    /// The payment gateways of this deployment.
    pub gateways: Gateways,
    /// Who may ask about the schema.
    pub introspection: SchemaAudience,
    /// The documents that a request may name instead of sending them.
    pub documents: Documents,
    /// How the edge speaks HTTP.
    pub http: HttpSettings,
    /// The playground, if it is served, with the demo's tokens.
    pub playground: Option<DemoTokens>,
    /// What else must be well for `/readyz` to say so, besides the database that the edge asks itself.
    pub checks: Vec<Check>,
    /// Renders what `/metrics` shows.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// The proxies whose `Forwarded` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// A query that takes longer is given up; a mutation that began runs to its end.
    pub query_deadline: Duration,
    /// The limits of every request.
    pub limits: Limits,
    /// What each caller may spend; `None` is without end.
    pub budget: Option<BudgetSettings>,
    /// When requests wait so long until they are run, some are not begun; zero is never.
    pub shed_from: Duration,
    /// Where reservations are asked for.
    pub desk: Desk,
    /// What is watched as it changes.
    pub live: Live,
    /// Where the files of requests are kept while these run, and how large they may be.
    pub uploads: UploadRules,
}

impl Api {
    /// An edge that is tried out, by a test say: everything is open, with the usual bounds, and nothing stands beside the database.
    /// It is to be made on a runtime, which follows what happens.
    pub fn over(db: &Db) -> Self {
        const FILE_BYTES_MAX: usize = 1024 * 1024;
        Self {
            db: db.clone(),
            gateways: Gateways::none(),
            introspection: SchemaAudience::Everybody,
            documents: Documents::default(),
            http: HttpSettings::default(),
            playground: None,
            checks: Vec::new(),
            metrics: Arc::new(String::new),
            trusted_proxies: Vec::new(),
            query_deadline: Duration::from_secs(10),
            limits: Limits::default(),
            budget: Some(BudgetSettings::default()),
            shed_from: Duration::ZERO,
            desk: Desk::new(db, DeskSettings::default()),
            live: Live::start(db, LiveBounds::default()),
            uploads: UploadRules::new(std::env::temp_dir(), FILE_BYTES_MAX, 1, Duration::from_secs(5), 4),
        }
    }
}

/// The deepest nesting that the library lets through: the most that `query_nesting_max` may be set to. The guard has bounded all
/// documents by then, more strictly.
const NESTING_MOST: usize = 100;

/// The schema, open and closed. Nothing in it belongs to a database or to an edge, so it is built once a process.
static SCHEMAS: LazyLock<(Schema, Schema)> = LazyLock::new(|| {
    let bounded = || builder().limit_recursive_depth(NESTING_MOST);
    (bounded().finish(), bounded().disable_introspection().disable_suggestions().finish())
});

/// The schema as those may know it who ask.
pub fn schemas(audience: SchemaAudience) -> Schemas {
    let (open, closed) = &*SCHEMAS;
    Schemas::new(open.clone(), closed.clone(), audience)
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
    let options = SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items().prefer_single_line_descriptions();
    let mut text = SCHEMAS.0.sdl_with_options(options).trim().to_owned();
    text.push('\n');
    text
}
