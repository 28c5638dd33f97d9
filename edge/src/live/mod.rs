//! What stays open: subscriptions that run, connections that are counted, tokens that may be revoked
//! meanwhile.
//!
//! [`feed`] is a state that one loop reads for all who watch it; [`runs`] runs one subscription once for all
//! who asked the same; [`passes`] notices tokens that are revoked; [`places`] counts connections.
//!
//! Architecture invariant: nobody has a queue of values. Each of these hands on its latest state, and whoever
//! is slow finds the newest when it comes: between two states any number may be left out, the last one never.

pub mod feed;
pub(crate) mod passes;
pub(crate) mod places;
pub mod runs;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Bounds on connections that stay open.
#[derive(Debug, Clone, Copy)]
pub struct LiveBounds {
    /// The most of them, WebSockets and streams of events together.
    pub connections_max: usize,
    /// The most from one address.
    pub connections_per_address_max: usize,
    /// The most operations at once on one WebSocket.
    pub operations_max: usize,
    /// The longest message from a client, in bytes.
    pub message_bytes_max: usize,
    /// A client that has not said `connection_init` by then is closed.
    pub init_within: Duration,
    /// So often something is sent to a silent client, to see whether it is still there.
    pub keep_alive_every: Duration,
}

impl Default for LiveBounds {
    /// What the settings are without being set.
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

/// A lock that a panic elsewhere does not close: what it guards is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
