//! What every gateway promises, asked of each gateway: the cases once, a driver and a run a gateway.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod cases;
mod sandbox;
