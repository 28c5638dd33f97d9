//! The pages of the project (`*.md`) checked: their links, sizes and tables against the sources and the
//! binary; their commands and operations on a demo.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may fail loudly"
)]

use crate::harness;

mod commands;
mod links;
mod operations;
mod pages;
mod tables;
mod try_out;
