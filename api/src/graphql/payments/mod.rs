//! Payments as a storefront follows them, independently of the gateway. The mutation `checkoutPay` is in
//! `reservations`.

pub mod types;

pub use types::Payment;
pub(crate) use types::PaymentOf;
