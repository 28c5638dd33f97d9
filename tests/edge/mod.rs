//! Black-box tests of the edge: audits by other implementations, hostile connections, and the settings that
//! open and close the edge.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests may fail loudly"
)]

use crate::harness;
use crate::node;

mod audits;
mod crowds;
mod raw;
mod room;
mod settings;
mod slow;
mod smuggling;
