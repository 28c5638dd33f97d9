//! API tokens of creators and of the marketplace.

pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::TokensMutation;
pub use queries::TokensQuery;
pub use types::{ApiToken, ApiTokenKind, ApiTokenPermission, ViewerToken};
