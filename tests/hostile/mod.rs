//! Hostile clients against the real binary: costly requests ([`table`]), many of them at once ([`crowd`]),
//! and clients that disconnect ([`gone`]).
//!
//! Times and memory are mostly printed and not asserted, because the values of a debug build on a busy
//! machine mean little. `cargo nextest run --test integration --no-capture hostile` shows them.
//! `SMALLRUN_TEST_BINARY` names a release build to test instead.

mod cases;
mod crowd;
mod gone;
use crate::harness;
mod memory;
mod table;
