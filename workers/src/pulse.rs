//! When to look for work: at once after a commit that one hears of, when the next piece is due, and now
//! and then in any case, because news can be lost.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::platform::Db;
use tokio::{sync::watch, time::Instant};

/// Work that another process left, or whose worker fell silent, is found after this time at the latest.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Commits may come by the thousand a second: looking once in this time for all of them costs a hundredth
/// of looking each time, and nobody notices the delay. The first after a pause is looked at at once.
const GAP: Duration = Duration::from_millis(10);

/// Waits between two looks.
pub(crate) struct Pulse {
    db: Db,
    news: watch::Receiver<u64>,
    look_at: Instant,
}

impl Pulse {
    /// `news` changes with every commit that one wants to hear of.
    pub(crate) fn new(db: &Db, news: watch::Receiver<u64>) -> Self {
        Self { db: db.clone(), news, look_at: Instant::now() }
    }

    /// To be called before each look: keeps two looks apart, and takes note of all commits so far,
    /// so that [`Pulse::wait`] returns at once for one that comes while the look goes on.
    pub(crate) async fn before_look(&mut self) {
        tokio::time::sleep_until(self.look_at).await;
        self.look_at = Instant::now().checked_add(GAP).unwrap_or(self.look_at);
        self.news.mark_unchanged();
    }

    /// Until the next commit, until `due`, or until it is time to look in any case.
    pub(crate) async fn wait(&mut self, due: Option<DateTime<Utc>>) {
        let until_due =
            due.map(|due| due.signed_duration_since(self.db.now()).to_std().unwrap_or(Duration::ZERO));
        let longest = until_due.map_or(LOOK_AGAIN, |until_due| until_due.min(LOOK_AGAIN));
        // The outcome does not matter: a commit, the time, or the end of the database.
        let _elapsed = tokio::time::timeout(longest, async {
            if self.news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await;
    }
}
