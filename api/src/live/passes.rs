//! Tokens of connections that stay open: whether they are still good is looked up, for all of them together, every second.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{accounts::still_good, platform::Db};
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::locked;

/// How often. A revocation is promised to hold within two seconds.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The tokens in use, by their hashes.
pub(crate) struct Passes {
    db: Db,
    in_use: Mutex<HashMap<Vec<u8>, watch::Sender<bool>>>,
}

impl Passes {
    pub(crate) fn new(db: &Db) -> Self {
        Self { db: db.clone(), in_use: Mutex::default() }
    }

    /// Watches a token from now on.
    pub(crate) fn watch(self: &Arc<Self>, hash: Vec<u8>) -> Pass {
        let is_revoked = locked(&self.in_use).entry(hash.clone()).or_insert_with(|| watch::Sender::new(false)).subscribe();
        Pass { is_revoked, hash, passes: Arc::clone(self) }
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
            let hashes: Vec<_> = locked(&self.in_use).keys().cloned().collect();
            if hashes.is_empty() {
                continue;
            }
            match still_good(&self.db, &hashes).await {
                Ok(good) => {
                    let in_use = locked(&self.in_use);
                    for revoked in hashes.iter().filter(|hash| !good.contains(*hash)).filter_map(|hash| in_use.get(hash)) {
                        revoked.send_replace(true);
                    }
                }
                // Without the database nothing new is told to anybody either.
                Err(error) => tracing::warn!(%error, "tokens of open connections could not be checked; it is tried again"),
            }
        }
    }
}

/// A token in use, until it is dropped.
pub(crate) struct Pass {
    is_revoked: watch::Receiver<bool>,
    hash: Vec<u8>,
    passes: Arc<Passes>,
}

impl Pass {
    /// Waits until it is good no longer.
    pub(crate) async fn revoked(&mut self) {
        // The sender is kept for as long as the token is in use.
        if self.is_revoked.wait_for(|is_revoked| *is_revoked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut in_use = locked(&self.passes.in_use);
        // This one is still counted.
        if in_use.get(&self.hash).is_some_and(|watched| watched.receiver_count() <= 1) {
            in_use.remove(&self.hash);
        }
    }
}
