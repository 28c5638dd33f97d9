//! What the measurements over HTTP share: they start the real server as an operator would, ask it like a
//! client, and put floors beside it that are measured in the same run on the same machine.
//!
//! [`client`] the HTTP client; [`load`] the loop that measures; [`floor_sql`] the floor of a reservation;
//! [`store`], [`server`] what is measured; [`desk`] single questions; [`drops`] the page, and drops of one's
//! own; [`reserve`] the request for a reservation; [`meter`] whether the server is at rest.

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

/// What went wrong, as a sentence without its full stop.
#[derive(Debug)]
pub struct Trouble(String);

/// What a step answers.
pub type Outcome<T> = Result<T, Trouble>;

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Trouble {
    /// From that sentence.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    /// For `map_err`: what was tried, and why it failed.
    pub fn doing<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |cause| Self(format!("could not {what}: {cause}"))
    }
}

/// Says what is being done, beside the answer.
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
