//! Checkouts, quotes, holds and reservations.
//!
//! [`quote`] what it costs and [`decide`] who gets it: pure rules. [`reserve`], [`pay`], [`cancel`],
//! [`lapse`]: the operations on a checkout, each under the gates of its drops;
//! [`withdraw_drop`](fn@withdraw_drop), [`cancel_drop`](fn@cancel_drop) and [`change_item`](fn@change_item):
//! those on a drop that depend on what is claimed of it. `confirm` and `release` are the two ways in which a
//! claim moves on, whoever asks; [`deposits`] is what follows from a payment. [`desk`] gathers requests to
//! reserve, and `batch` decides them together by what is `known`. [`lines`] asks for a quote. [`legal`] and
//! [`tables`]: what a checkout refers to. [`claims`] and [`queries`]: reads. [`state`]: the state machine.
//! [`tasks`]: what happens in time. [`letters`]: what buyers are told. [`reconcile`]: what was missed.

pub mod address;
mod batch;
pub mod cancel;
mod cancel_drop;
mod change_item;
pub(crate) mod checkout_row;
pub mod claims;
mod confirm;
pub mod decide;
pub mod deposits;
pub mod desk;
mod extend;
mod known;
pub mod lapse;
pub mod legal;
pub mod letters;
pub mod lines;
pub(crate) mod load;
pub mod pay;
pub mod personal_data;
pub mod queries;
pub mod quote;
pub mod reconcile;
mod release;
pub(crate) mod reservation_row;
pub mod reserve;
pub mod state;
pub mod tables;
pub mod tasks;
mod withdraw_drop;

pub use cancel_drop::{CancelDropRefusal, cancel_drop};
pub use change_item::{ItemChange, change_item};
pub use checkout_row::{AddressView, Model as Checkout};
pub use reservation_row::Model as Reservation;
pub use withdraw_drop::{WithdrawDropRefusal, withdraw_drop};
