//! Checkouts, quotes, holds and reservations.
//!
//! The modules:
//!
//! * Pure rules: [`quote`] computes prices, [`decide`] decides who gets units, and [`state`] is the state
//!   machine.
//! * Operations on a checkout, each under the gates of its drops: [`reserve`](fn@reserve),
//!   [`pay`](fn@pay), [`cancel`](fn@cancel) and [`lapse`](fn@lapse).
//! * Operations on a drop that depend on the claims on its units: [`withdraw_drop`](fn@withdraw_drop),
//!   [`cancel_drop`](fn@cancel_drop) and [`change_item`](fn@change_item).
//! * `confirm` and `release` are the only two ways in which a claim changes. [`deposits`] handles the outcome
//!   of a payment.
//! * [`desk`] queues requests to reserve, `batch` decides a batch of them together, and `known` caches what a
//!   decision loaded. [`ask`] prices lines without reserving.
//! * [`legal`] and [`tables`] hold the legal texts, tax rates and tariffs that checkouts refer to.
//!   [`set_tax_rate`](fn@set_tax_rate) and [`set_tariffs`](fn@set_tariffs) change them.
//! * [`claims`] and [`queries`] are reads.
//! * [`tasks`] run when a hold expires, [`letters`] are the e-mails to buyers, and [`reconcile`] finds work
//!   that was missed.

pub mod address;
mod batch;
mod cancel;
mod cancel_drop;
mod change_item;
pub(crate) mod checkout_row;
pub mod claims;
mod confirm;
pub mod decide;
pub mod deposits;
pub mod desk;
mod desk_activity;
mod extend;
mod known;
mod lapse;
pub mod legal;
pub mod letters;
mod lines;
pub(crate) mod load;
mod pay;
pub mod personal_data;
pub mod queries;
pub mod quote;
pub mod reconcile;
mod release;
pub(crate) mod reservation_row;
mod reserve;
mod set_tariffs;
mod set_tax_rate;
pub mod state;
pub mod tables;
pub mod tasks;
mod withdraw_drop;

pub use cancel::{CancelRefusal, cancel};
pub use cancel_drop::{CancelDropRefusal, cancel_drop};
pub use change_item::{ItemChange, change_item};
pub use checkout_row::{AddressView, Model as Checkout};
pub use desk_activity::DeskActivity;
pub use lapse::{LapseRefusal, lapse};
pub use lines::{AskRefusal, LINE_UNITS_MAX, LINES_MAX, RequestedLine, ask};
pub use pay::{PayRefusal, PayRequest, QUEUE_SECS_MAX, pay};
pub use reservation_row::Model as Reservation;
pub use reserve::{Made, ReserveRefusal, ReserveRequest, Reserved, reserve};
pub use set_tariffs::{NewTariff, TARIFFS_MAX, set_tariffs};
pub use set_tax_rate::set_tax_rate;
pub use withdraw_drop::{WithdrawDropRefusal, withdraw_drop};
