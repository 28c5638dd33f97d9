//! The tokens of connections that stay open. All of them are looked up together every second, to notice
//! revocations and changed permissions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::locked;
use crate::backend::{Backend, EdgeViewer, Fingerprint};

/// The interval of the lookups. Revocations and changes of permissions are promised to take effect within two
/// seconds.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The tokens in use, by fingerprint.
pub(crate) struct Passes {
    backend: Arc<dyn Backend>,
    in_use: Mutex<HashMap<Fingerprint, watch::Sender<LastLookup>>>,
}

/// The result of the last lookup of a token.
enum LastLookup {
    /// It has not been looked up yet.
    Nothing,
    /// It is valid, and this is its bearer.
    Bearer(Arc<dyn EdgeViewer>),
    /// It is no longer valid.
    Invalid,
}

impl LastLookup {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nothing, Self::Nothing) | (Self::Invalid, Self::Invalid) => true,
            (Self::Bearer(one), Self::Bearer(other)) => one.is_same(&**other),
            (Self::Nothing | Self::Invalid | Self::Bearer(_), _) => false,
        }
    }
}

/// Why a connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The token was revoked or has expired.
    Token,
    /// The permissions of its bearer have changed.
    Rights,
}

impl Passes {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, in_use: Mutex::default() }
    }

    /// Begins to watch a token.
    pub(crate) fn watch(self: &Arc<Self>, token: Fingerprint) -> Pass {
        let seen = locked(&self.in_use)
            .entry(token.clone())
            .or_insert_with(|| watch::Sender::new(LastLookup::Nothing))
            .subscribe();
        Pass { seen, token, passes: Arc::clone(self) }
    }

    /// Looks tokens up until `stop` is cancelled.
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
                        let now = viewers.remove(token).map_or(LastLookup::Invalid, LastLookup::Bearer);
                        if let Some(watched) = in_use.get(token) {
                            watched.send_if_modified(|seen| {
                                let is_news = !seen.is_same(&now);
                                *seen = now;
                                is_news
                            });
                        }
                    }
                }
                // While the database is down, no new data is sent to anybody either.
                Err(error) => {
                    tracing::warn!(%error, "cannot check the tokens of open connections; retrying")
                }
            }
        }
    }
}

/// A token in use, until it is dropped.
pub(crate) struct Pass {
    seen: watch::Receiver<LastLookup>,
    token: Fingerprint,
    passes: Arc<Passes>,
}

impl Pass {
    /// Waits until the token is no longer valid, or its bearer differs from `viewer`, the bearer when the
    /// connection began. It is cancel safe. A token looked up at the very moment of a change may be reported
    /// without need; the client then connects again.
    pub(crate) async fn lost(&mut self, viewer: &dyn EdgeViewer) -> Lost {
        let lost = |seen: &LastLookup| match seen {
            LastLookup::Nothing => None,
            LastLookup::Bearer(now) => (!now.is_same(viewer)).then_some(Lost::Rights),
            LastLookup::Invalid => Some(Lost::Token),
        };
        // A result from before the viewer was looked up is ignored.
        while self.seen.changed().await.is_ok() {
            if let Some(lost) = lost(&self.seen.borrow_and_update()) {
                return lost;
            }
        }
        // The sender exists for as long as the token is in use.
        std::future::pending().await
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut in_use = locked(&self.passes.in_use);
        // This receiver is still counted.
        if in_use.get(&self.token).is_some_and(|watched| watched.receiver_count() <= 1) {
            in_use.remove(&self.token);
        }
    }
}
