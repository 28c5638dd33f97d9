//! Decides when a loop polls for work: directly after a commit, when the next work is due, and at regular
//! intervals, because notifications can be lost.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::platform::Db;
use tokio::{sync::watch, time::Instant};

/// The polling interval. Work of another process, or of a worker that died, is found after this time at the
/// latest.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The minimum time between two polls. There may be thousands of commits per second: one poll for all of them
/// within this time costs a hundredth of one poll each, and the delay is negligible. The first poll after a
/// pause is not delayed.
const GAP: Duration = Duration::from_millis(10);

/// Waits between two polls.
pub(crate) struct Pulse {
    db: Db,
    news: watch::Receiver<u64>,
    look_at: Instant,
}

impl Pulse {
    /// Creates a pulse. `news` changes with every relevant commit.
    pub(crate) fn new(db: &Db, news: watch::Receiver<u64>) -> Self {
        Self { db: db.clone(), news, look_at: Instant::now() }
    }

    /// Must be called before each poll. Keeps two polls apart, and marks all commits so far as seen, so that
    /// [`Pulse::wait`] returns immediately for a commit during the poll.
    pub(crate) async fn before_look(&mut self) {
        tokio::time::sleep_until(self.look_at).await;
        self.look_at = Instant::now().checked_add(GAP).unwrap_or(self.look_at);
        self.news.mark_unchanged();
    }

    /// Waits for the next commit, for `due`, or for the polling interval, whichever comes first.
    pub(crate) async fn wait(&mut self, due: Option<DateTime<Utc>>) {
        let until_due =
            due.map(|due| due.signed_duration_since(self.db.now()).to_std().unwrap_or(Duration::ZERO));
        let longest = until_due.map_or(LOOK_AGAIN, |until_due| until_due.min(LOOK_AGAIN));
        // The result does not matter: a commit, a timeout, or the database was closed.
        let _elapsed = tokio::time::timeout(longest, async {
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await;
    }
}
