//! The pages of the project (`*.md`) checked: their links, sizes and tables against the sources and the
//! binary; their commands and operations on a demo.

use crate::harness;

mod commands;
mod links;
mod operations;
mod pages;
mod tables;
mod try_out;
