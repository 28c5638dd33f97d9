//! Checkouts and reservations. The module [`quote`] has prices of lines; [`tables`] has the legal texts, tax
//! rates and shipping tariffs that prices and checkouts refer to.

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
