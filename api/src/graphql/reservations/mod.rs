//! Checkouts and reservations; in [`quote`] what lines cost, in [`tables`] what prices and checkouts refer
//! to.

pub mod mutations;
pub mod queries;
pub mod quote;
pub mod subscriptions;
pub mod tables;
pub mod types;

pub use mutations::ReservationsMutation;
pub use queries::ReservationsQuery;
pub use subscriptions::ReservationsSubscription;
pub use types::{Address, Checkout, Reservation, ReservationState};
