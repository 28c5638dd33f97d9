//! The payment gateways: each implements the port of `domain::payments::gateway`.
//!
//! [`sandbox`] is a gateway with a small state of its own, for development, demos and tests.
//! [`signature`] signs and checks webhooks in the form that is usual among gateways.
//! Architecture invariant: no truth of ours is kept here; what a gateway says is applied by `domain`.

pub mod sandbox;
pub mod signature;

pub use sandbox::{Sandbox, SandboxSettings};
