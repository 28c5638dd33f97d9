//! The integration tests of the crate `payments`. They are one binary, which is linked once.

mod contract;
mod sandbox;
