//! The import of products from a file: the mutation `productImport`, and the progress of imports.

pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::ImportsMutation;
pub use queries::ImportsQuery;
pub(crate) use queries::of_creator;
pub(crate) use types::SeenImport;
pub use types::{ProductImport, ProductImportRow};
