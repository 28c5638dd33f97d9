//! Deposits: payments, their allocations, refunds, the ledger, and the port to a gateway.
//!
//! [`gateway`]: the port.

pub mod gateway;
