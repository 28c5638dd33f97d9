//! Whole journeys with all workers running: what a buyer sees happen after each call.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod letters;
mod payments;
mod reconcile;
mod shop;
