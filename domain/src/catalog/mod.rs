//! The catalogue: products and their variants.
//!
//! - Operations: [`create_product()`], [`update_product()`], [`archive_product()`], [`unarchive_product()`],
//!   [`create_variant()`], [`update_variant()`], [`archive_variant()`], [`unarchive_variant()`]
//! - Reads: [`queries`], each limited by a [`Sight`]
//! - Values: [`sku`], [`parcel`], [`tax_class`], and the bounds in [`policy`]
//! - Exchange as a [`sheet`]: [`imports`] and [`export`]
//!
//! The tables are `products` and `variants`; tags belong to the platform module. Invariant: variants are
//! never deleted, because reservations refer to them. Archived products and variants are hidden instead.

mod archive_product;
mod archive_variant;
mod create_product;
mod create_variant;
pub mod export;
pub mod imports;
pub mod parcel;
pub mod personal_data;
pub mod policy;
pub(crate) mod product;
pub mod queries;
pub mod sheet;
pub mod sight;
pub mod sku;
pub mod tax_class;
mod unarchive_product;
mod unarchive_variant;
mod update_product;
mod update_variant;
pub(crate) mod variant;

pub use archive_product::{ArchiveProductRefusal, archive_product};
pub use archive_variant::{ArchiveVariantRefusal, archive_variant};
pub use create_product::{CreateProduct, CreateProductRefusal, create_product};
pub use create_variant::{CreateVariant, CreateVariantRefusal, create_variant};
pub use parcel::{Grams, Millimetres};
pub use product::Model as Product;
pub use queries::{PriceRange, ProductFilter, ProductSort};
pub use sight::Sight;
pub use sku::Sku;
pub use tax_class::TaxClass;
pub use unarchive_product::unarchive_product;
pub use unarchive_variant::unarchive_variant;
pub use update_product::{UpdateProduct, UpdateProductRefusal, update_product};
pub use update_variant::{UpdateVariant, UpdateVariantRefusal, update_variant};
pub use variant::Model as Variant;
pub(crate) use variant::for_sale as variants_for_sale;

use crate::platform::text::TextLine;

/// The title of a product.
pub type ProductTitle = TextLine<120>;
/// A summary of a product, in one or two sentences.
pub type Summary = TextLine<300>;
/// What distinguishes a variant from the others of its product.
pub type VariantTitle = TextLine<80>;
