//! The program `smallrun`: its command line, its configuration, and the wiring of all crates.

mod commands;
mod config;
mod data_folder;
mod database;
mod demo;
mod exit;
mod gateways;
mod mailer;
mod open_files;
mod prompt;
mod sandbox_page;
mod schema_wait;
mod telemetry;
mod terminal;
mod wiring;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two TLS providers may be compiled in. Without an explicit choice, the first connection would panic.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
    commands::run()
}
