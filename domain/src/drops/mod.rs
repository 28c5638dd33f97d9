//! Drops: one preorder run each, from draft to the end of its window.
//!
//! [`terms`] and [`state`]: the rules. [`create`], [`update`], [`items`], [`publish`] (with withdraw and cancel): the
//! operations. [`queries`]: reads. The gate: the lock under which every claim on units is decided.

pub mod create;
pub(crate) mod drop_row;
pub(crate) mod gate;
pub(crate) mod item_row;
pub mod items;
pub mod personal_data;
pub mod publish;
pub mod queries;
pub mod state;
pub mod terms;
pub mod update;

pub use drop_row::Model as Drop;
pub use item_row::Model as DropItem;
