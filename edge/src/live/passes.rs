//! Tokens of connections that stay open: whose they are, and whether they are still good, is looked up, for
//! all of them together, every second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::locked;
use crate::backend::{Backend, Fingerprint, Viewer};

/// How often. A revocation, or another change of rights, is promised to hold within two seconds.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The tokens in use, by their fingerprints.
pub(crate) struct Passes {
    backend: Arc<dyn Backend>,
    in_use: Mutex<HashMap<Fingerprint, watch::Sender<Seen>>>,
}

/// What the last look at a token showed.
enum Seen {
    /// There was none yet.
    Nothing,
    /// It is good, and that is its bearer.
    Bearer(Arc<dyn Viewer>),
    /// It is good no longer.
    Invalid,
}

impl Seen {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, Self::Nothing) | (Self::Invalid, Self::Invalid) => true,
            (Self::Bearer(one), Self::Bearer(other)) => one.is_same(&**other),
            (Self::Nothing | Self::Invalid | Self::Bearer(_), _) => false,
        }
    }
}

/// Why a connection is not to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The token is revoked, or has run out.
    Token,
    /// What its bearer may do is not what it was.
    Rights,
}

impl Passes {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, in_use: Mutex::default() }
    }

    /// Watches a token from now on.
    pub(crate) fn watch(self: &Arc<Self>, token: Fingerprint) -> Pass {
        let seen = locked(&self.in_use)
            .entry(token.clone())
            .or_insert_with(|| watch::Sender::new(Seen::Nothing))
            .subscribe();
        Pass { seen, token, passes: Arc::clone(self) }
    }

    /// Looks until it is told to stop.
    pub(crate) async fn check(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let tokens: Vec<_> = locked(&self.in_use).keys().cloned().collect();
            if tokens.is_empty() {
                continue;
            }
            match self.backend.viewers(&tokens).await {
                Ok(mut viewers) => {
                    let in_use = locked(&self.in_use);
                    for token in &tokens {
                        let now = viewers.remove(token).map_or(Seen::Invalid, Seen::Bearer);
                        if let Some(watched) = in_use.get(token) {
                            watched.send_if_modified(|seen| {
                                let is_news = !seen.is_same(&now);
                                *seen = now;
                                is_news
                            });
                        }
                    }
                }
                // Without the database nothing new is told to anybody either.
                Err(error) => {
                    tracing::warn!(%error, "tokens of open connections could not be checked; it is tried again")
                }
            }
        }
    }
}

/// A token in use, until it is dropped.
pub(crate) struct Pass {
    seen: watch::Receiver<Seen>,
    token: Fingerprint,
    passes: Arc<Passes>,
}

impl Pass {
    /// Waits until it is good no longer, or its bearer is not what `viewer` was when the connection began. It
    /// may be dropped while it waits. One that was looked up in the moment of a change may hear of it in
    /// vain, and connects again.
    pub(crate) async fn lost(&mut self, viewer: &dyn Viewer) -> Lost {
        let lost = |seen: &Seen| match seen {
            Seen::Nothing => None,
            Seen::Bearer(now) => (!now.is_same(viewer)).then_some(Lost::Rights),
            Seen::Invalid => Some(Lost::Token),
        };
        // What was seen before the viewer was looked up is no news.
        while self.seen.changed().await.is_ok() {
            if let Some(lost) = lost(&self.seen.borrow_and_update()) {
                return lost;
            }
        }
        // The sender is kept for as long as the token is in use.
        std::future::pending().await
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut in_use = locked(&self.passes.in_use);
        // This one is still counted.
        if in_use.get(&self.token).is_some_and(|watched| watched.receiver_count() <= 1) {
            in_use.remove(&self.token);
        }
    }
}
