//! Prices of lines: the query `checkoutQuote`.

pub mod queries;
pub mod types;

pub use queries::QuoteQuery;
pub use types::{DeliveryMethod, Quote};
