//! The integration tests of the program, from outside. They are one binary, which is linked once.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may fail loudly"
)]

mod audit;
mod cli;
mod demo;
mod demo_time;
mod edge;
mod examples;
mod faults;
mod harness;
mod hostile;
mod house;
mod names;
#[path = "harness/node.rs"]
mod node;
mod papers;
mod shop;
