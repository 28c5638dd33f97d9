//! Black-box tests of the edge: audits by other implementations, hostile connections, and the settings that
//! open and close the edge.

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
