//! Drops. A drop is one preorder run, from its draft to the end of its window.
//!
//! - [`terms`] and [`state`]: the rules
//! - [`create()`], [`update()`], [`add_item()`], [`remove_item()`] and [`publish()`]: the operations
//! - [`queries`]: the reads
//! - `gate`: the lock under which every claim on units is decided
//!
//! Only [`reservations`](crate::reservations) knows the claims on a drop. The operations that depend on
//! claims are therefore there: withdrawing a drop, cancelling a drop and changing an item.

mod add_item;
mod create;
pub(crate) mod drop_row;
pub(crate) mod enter_state;
pub(crate) mod gate;
pub(crate) mod item_row;
pub mod items;
pub(crate) mod offered_place;
pub mod personal_data;
mod publish;
pub mod queries;
mod remove_item;
pub mod state;
pub mod terms;
mod update;

pub use add_item::{NewItem, add_item};
pub use create::{CreateDrop, CreateDropRefusal, create};
pub use drop_row::Model as Drop;
pub use item_row::Model as DropItem;
pub use offered_place::DROP_PLACES_MAX;
pub use publish::{PublishRefusal, publish};
pub use remove_item::remove_item;
pub use update::{UpdateDrop, UpdateDropRefusal, update};
