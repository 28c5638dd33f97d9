//! Pickup places: where the buyers of a creator pick up their units.

pub mod mutations;
pub mod queries;
pub mod types;

pub use mutations::PickupPlacesMutation;
pub(crate) use queries::of_creator;
pub use types::PickupPlace;
pub(crate) use types::{ReferredPickupPlace, SeenPickupPlace};
