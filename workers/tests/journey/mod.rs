//! Whole journeys of a buyer with all workers running, checked by the results that the buyer sees.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod letters;
mod payments;
mod reconcile;
mod shop;
