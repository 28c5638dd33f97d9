//! Tests of the API over HTTP: protocol rules, limits, pages and errors.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails on anything unexpected")]

mod bodies;
mod bounds;
mod budget;
mod documents;
mod failing;
mod fuzz;
mod http_rules;
mod matrix;
mod pages;
mod pickup;
mod relay;
mod schema;
mod shop;
mod tasks;
mod uploads;
mod webhooks;
