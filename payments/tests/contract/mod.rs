//! The contract of a payment gateway, tested on each gateway: shared cases, and one driver per gateway.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod cases;
mod sandbox;
