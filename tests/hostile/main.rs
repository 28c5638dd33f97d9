//! What is sent to hurt, against the real binary: requests that cost too much ([`table`]), crowds of them
//! ([`crowd`]), and clients that go away ([`gone`]).
//!
//! Times and memory are printed and not asserted, because a debug build on a busy machine says little about
//! either: `cargo nextest run --test hostile --no-capture` shows them, and `SMALLRUN_TEST_BINARY` names a
//! release build to try.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may fail loudly"
)]

mod cases;
mod crowd;
mod gone;
#[path = "../harness/mod.rs"]
mod harness;
mod memory;
mod table;
