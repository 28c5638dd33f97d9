//! Shared parts of the benchmarks over HTTP. They start the real server as an operator would, send requests
//! like a client, and compare the results with floors that are measured in the same run on the same machine.
//!
//! - [`client`]: the HTTP client.
//! - [`load`]: the measuring loop.
//! - [`floor_sql`]: the floor of a reservation.
//! - [`store`] and [`server`]: the system under test.
//! - [`desk`]: single requests outside of the measurement.
//! - [`drops`]: the page of drops, and drops created for a benchmark.
//! - [`reserve`]: the request for a reservation.
//! - [`meter`]: detects when a server is idle.

pub mod client;
pub mod desk;
pub mod drops;
pub mod floor_sql;
pub mod load;
pub mod meter;
pub mod reserve;
pub mod server;
pub mod store;

use std::fmt;

/// An error, as a sentence without its full stop.
#[derive(Debug)]
pub struct Trouble(String);

/// The result of a step.
pub type Outcome<T> = Result<T, Trouble>;

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Trouble {
    /// Creates an error from a sentence.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    /// Returns a function for `map_err` that adds what was attempted to the cause: "could not … : …".
    pub fn doing<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |cause| Self(format!("could not {what}: {cause}"))
    }
}

/// Prints the current step to standard error.
pub fn progress(what: impl fmt::Display) {
    eprintln!("{what} …");
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn stopped() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
