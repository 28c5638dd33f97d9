//! Payment gateways: each implements the port in `domain::payments::gateway`.
//!
//! - [`sandbox`]: a gateway with a small state of its own, for development, demos and tests.
//! - [`signature`]: signs and verifies webhooks in the form that most gateways use.
//!
//! Architecture invariant: this crate keeps no state of the marketplace. `domain` applies what a gateway
//! reports.

pub mod sandbox;
pub mod signature;

pub use sandbox::{Sandbox, SandboxSettings};
