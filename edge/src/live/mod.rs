//! Connections that stay open: the subscriptions on them, their number, and the validity of their tokens.
//!
//! - [`feed`] shares one state, read by one loop, among all its watchers.
//! - [`runs`] runs each subscription once for all clients that made the same request.
//! - [`passes`] notices revoked tokens.
//! - [`places`] counts connections.
//!
//! Architecture invariant: no watcher has a queue of values. Everything here passes on its latest state. A
//! slow watcher finds the newest state and may miss any number of earlier ones, but never the last.

pub mod feed;
pub(crate) mod passes;
pub(crate) mod places;
pub mod runs;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Limits on connections that stay open.
#[derive(Debug, Clone, Copy)]
pub struct LiveBounds {
    /// The most connections, WebSockets and streams of events together.
    pub connections_max: usize,
    /// The most connections from one address.
    pub connections_per_address_max: usize,
    /// The most operations at the same time on one WebSocket.
    pub operations_max: usize,
    /// The longest message from a client, in bytes.
    pub message_bytes_max: usize,
    /// How long a client may take to send `connection_init` before its socket is closed.
    pub init_within: Duration,
    /// The interval of keep-alive messages, which also detect clients that are gone.
    pub keep_alive_every: Duration,
}

impl Default for LiveBounds {
    /// The defaults of the server's configuration.
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 100,
            operations_max: 50,
            message_bytes_max: 102_400,
            init_within: Duration::from_secs(10),
            keep_alive_every: Duration::from_secs(20),
        }
    }
}

/// Locks a mutex even if it is poisoned: the data behind it is consistent between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
