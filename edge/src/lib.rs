//! The edge of a GraphQL API, independent of its schema: connections, transports, admission, budgets,
//! execution and long-lived connections.
//!
//! - [`http`] serves the endpoint over all its transports.
//! - [`guard`] limits what a single request may cost.
//! - [`budget`] limits what each caller may spend over time.
//! - [`execute`] turns a request into its answer.
//! - [`live`] runs subscriptions and checks connections that stay open.
//! - [`backend`] defines what the program behind the edge must provide: who the caller is, and how an
//!   admitted request runs.
//!
//! Architecture invariant: this crate knows no schema, no database and no rule of the marketplace.

pub mod backend;
pub mod budget;
pub mod errors;
pub mod execute;
pub mod guard;
pub mod http;
pub mod introspection;
pub mod live;
pub mod settings;
pub mod trace;
pub mod uploads;

pub use backend::{
    AdmittedWork, Audience, Backend, BackendError, Charged, EdgeViewer, Fingerprint, RequestContext,
};
pub use http::HttpEdge;
pub use settings::Settings;
