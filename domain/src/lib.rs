//! The rules and the records of Smallrun. No HTTP, no GraphQL, no broker, no gateway types.
//!
//! The first level is the capability. Architecture invariant: nothing here talks to the network; what the
//! outside world must do is a port (a trait) or a task. [`registry`] lists what a process knows to do.

pub mod accounts;
pub mod catalog;
pub mod creators;
pub mod drops;
pub mod payments;
pub mod platform;
pub mod registry;
pub mod reservations;
