//! The catalogue: products and their variants. The module [`imports`] has the import of products from a file.

pub mod imports;
pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::CatalogMutation;
pub use queries::CatalogQuery;
pub use types::{Product, TaxClass, Variant};
pub(crate) use types::{ReferredProduct, ReferredVariant, SeenProduct, SeenVariant};
