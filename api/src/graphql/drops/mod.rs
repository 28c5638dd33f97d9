//! Drops: single preorder runs. The module [`items`] has the items of a drop with their prices and stock.

pub mod items;
pub mod mutations;
pub mod queries;
pub mod stock;
pub mod subscriptions;
pub mod types;

pub use mutations::DropsMutation;
pub use queries::DropsQuery;
pub use subscriptions::DropsSubscription;
pub use types::{Drop, DropPhase};
pub(crate) use types::{ReferredDrop, SeenDrop};
