//! Drops: one preorder run each, from draft to the end of its window.
//!
//! [`terms`] and [`state`]: the rules. [`create`], [`update`], [`add_item`](fn@add_item),
//! [`remove_item`](fn@remove_item), [`publish`]: the operations. [`queries`]: reads. The gate: the lock under
//! which every claim on units is decided.
//!
//! What is claimed of a drop is known by [`reservations`](crate::reservations), and so the operations that
//! depend on it stand there: to withdraw a drop, to cancel it, to change an item.

mod add_item;
pub mod create;
pub(crate) mod drop_row;
pub(crate) mod enter_state;
pub(crate) mod gate;
pub(crate) mod item_row;
pub mod items;
pub mod personal_data;
pub mod publish;
pub mod queries;
mod remove_item;
pub mod state;
pub mod terms;
pub mod update;

pub use add_item::{NewItem, add_item};
pub use drop_row::Model as Drop;
pub use item_row::Model as DropItem;
pub use remove_item::remove_item;
