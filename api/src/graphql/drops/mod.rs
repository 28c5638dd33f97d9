//! Drops: one preorder run each; in [`items`] what is offered in it, with prices and stock.

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
