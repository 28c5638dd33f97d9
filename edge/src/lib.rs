//! The edge of a GraphQL API, whatever its schema: HTTP, connections, admission, budgets, execution, and what
//! stays open.
//!
//! [`http`] the endpoint with all its transports; [`guard`] what a request may cost at most; [`budget`] what
//! each caller may spend; [`execute`] from a request to its answer; [`live`] what runs on connections that
//! stay open. What the edge has to be told stands in [`backend`]: who asks, and how an admitted request is
//! run.
//!
//! Architecture invariant: nothing here knows the schema, the database or a rule of the marketplace.

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

pub use backend::{AdmittedWork, Audience, Backend, Charged, Failure, Fingerprint, RequestContext, Viewer};
pub use http::Edge;
pub use settings::Settings;
