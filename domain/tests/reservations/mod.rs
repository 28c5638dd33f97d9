//! Reservations, drops and payments: every operation and every refusal, on both databases.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod advancing;
mod desk;
mod drops;
mod ends;
mod gates;
mod market;
mod paying;
mod pickup;
mod reserving;
mod second_wall;
