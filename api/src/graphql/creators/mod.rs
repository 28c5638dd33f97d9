//! Creators: the tenants of the marketplace, with their public profiles.

pub mod mutations;
pub mod pickup_places;
pub mod queries;
pub mod types;

pub use mutations::CreatorsMutation;
pub use queries::CreatorsQuery;
pub use types::Creator;
pub(crate) use types::CreatorById;
