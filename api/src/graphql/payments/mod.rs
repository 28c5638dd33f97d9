//! Payments as a storefront follows them, whatever the gateway. `checkoutPay` is a mutation of checkouts.

pub mod types;

pub use types::Payment;
pub(crate) use types::PaymentOf;
