//! The edge of the API: HTTP, bounds, pages, and what an error may show.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails has said what it must")]

mod bodies;
mod bounds;
mod budget;
mod documents;
mod failing;
mod fuzz;
mod http_rules;
mod matrix;
mod pages;
mod relay;
mod schema;
mod shop;
mod tasks;
mod uploads;
mod webhooks;
