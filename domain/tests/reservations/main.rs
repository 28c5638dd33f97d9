//! Reservations, drops and payments: every operation and every refusal, on both databases.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails has said what it must")]

mod advancing;
mod desk;
mod drops;
mod ends;
mod gates;
mod market;
mod paying;
mod reserving;
mod second_wall;
