//! The integration tests of the crate `testkit`. They are one binary, which is linked once.

mod kit;
mod migration_lint;
mod migrations;
