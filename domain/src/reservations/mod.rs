//! Checkouts, quotes, holds and reservations.
//!
//! [`quote`] what it costs and [`decide`] who gets it: pure rules. [`reserve`], [`lapse`], [`cancel`]: the
//! operations, each under the gates of its drops. [`desk`] gathers requests to reserve, and `batch` decides them together by
//! what is `known`. [`lines`] asks for a quote. [`legal`] and [`tables`]: what a checkout refers to. [`queries`]: reads. [`state`]: the state machine. [`reconcile`]: what was missed.

pub mod address;
mod batch;
pub mod cancel;
pub(crate) mod checkout_row;
pub mod decide;
pub mod desk;
mod known;
pub mod lapse;
pub mod legal;
pub mod lines;
pub(crate) mod load;
pub mod personal_data;
pub mod queries;
pub mod quote;
pub mod reconcile;
pub(crate) mod reservation_row;
pub mod reserve;
pub mod state;
pub mod tables;

pub use checkout_row::{AddressView, Model as Checkout};
pub use reservation_row::Model as Reservation;
