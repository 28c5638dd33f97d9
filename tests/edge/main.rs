//! The edge, from outside: what other implementations say of it, hostile connections, and the settings that
//! open and close it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/node.rs"]
mod node;

mod audits;
mod crowds;
mod raw;
mod room;
mod settings;
mod slow;
mod smuggling;
