//! Products and their variants: what a creator makes.
//!
//! Operations: [`create_product()`], [`update_product()`], [`archive_product()`], [`unarchive_product()`],
//! [`create_variant()`], [`update_variant()`], [`archive_variant()`], [`unarchive_variant()`]. Reads:
//! [`queries`], each within a [`Sight`]. Values: [`sku`], [`parcel`], [`tax_class`], and the bounds in
//! [`policy`]. The tables are `products` and `variants`; tags are the platform's. As a [`sheet`] all of it
//! comes in by [`imports`] and goes out by [`export`]. Invariant: variants are never deleted, for
//! reservations refer to them; what is archived is out of sight.

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

use crate::platform::text::Line;

/// A product's title.
pub type ProductTitle = Line<120>;
/// A product in one or two sentences.
pub type Summary = Line<300>;
/// What sets a variant apart from the others of its product.
pub type VariantTitle = Line<80>;
