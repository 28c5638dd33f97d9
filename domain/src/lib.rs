//! The rules and the records of Smallrun. No HTTP, no GraphQL, no broker, no gateway types.
//!
//! The first level is the capability. Architecture invariant: nothing here talks to the network;
//! what the outside world must do is a port (a trait) or a task.

pub mod accounts;
pub mod catalog;
pub mod creators;
pub mod drops;
pub mod payments;
pub mod platform;
pub mod reservations;

/// What payments may be for, and what follows from them: one line for each purpose.
pub fn payables() -> payments::Payables {
    payments::Payables::new([(payments::Purpose::Deposit, Box::new(reservations::deposits::Deposits) as Box<_>)])
}
