//! The integration tests of the crate `api`. They are one binary, which is linked once.

mod accounts;
mod catalog;
mod edge;
mod links;
