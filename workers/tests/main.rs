//! The integration tests of the crate `workers`. They are one binary, which is linked once.

mod bus;
mod gateway_budget;
mod housekeeping;
mod journey;
mod personal_data;
mod projections;
mod registry;
mod relay;
mod sealing;
mod smtp;
mod tasks;
mod timers;
