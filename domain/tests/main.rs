//! The integration tests of the crate `domain`. They are one binary, which is linked once.

mod accounts;
mod audit;
mod catalog;
mod creators;
mod demo_clock;
mod gateways;
mod reservations;
mod simulation;
