//! The tables that prices and checkouts refer to: legal texts, tax rates and shipping tariffs.

pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::TablesMutation;
pub use queries::TablesQuery;
pub use types::{LegalText, ShippingTariff};
pub(crate) use types::{LegalTextById, TariffsOf};
