//! The items of drops: variants with their units, prices and stock.

pub mod mutations;
pub mod types;

pub use mutations::DropItemsMutation;
pub use types::{DropItem, ItemStock};
pub(crate) use types::{HeldOf, ItemsOf, ReferredItem, stock};
