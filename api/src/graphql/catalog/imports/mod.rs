//! Products that come as a file: `productImport`, and how far it is.

pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::ImportsMutation;
pub use queries::ImportsQuery;
pub(crate) use queries::of_creator;
pub(crate) use types::SeenImport;
pub use types::{ProductImport, ProductImportRow};
