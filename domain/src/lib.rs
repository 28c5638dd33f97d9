//! The business rules and records of Smallrun. This crate contains no HTTP, GraphQL, message broker or
//! payment gateway types.
//!
//! Each top-level module is a capability. Architecture invariant: code in this crate does not access the
//! network. Work that involves the outside world goes through a port (a trait) or a task. [`registry`] lists
//! the kinds of tasks, letters, timers and payment purposes that a process supports.

// Every match is written out, so that a new state is a compile error where it is not handled; sums are
// checked.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm))]

pub mod accounts;
pub mod catalog;
pub mod creators;
pub mod drops;
pub mod payments;
pub mod platform;
pub mod registry;
pub mod reservations;
