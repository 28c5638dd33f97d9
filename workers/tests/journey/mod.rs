//! Whole journeys with all workers running: the effects of each call as a buyer sees them.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod letters;
mod payments;
mod reconcile;
mod shop;
