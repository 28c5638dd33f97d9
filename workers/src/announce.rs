//! Announces the tasks that transactions of this process have queued to be run at once.

use std::{sync::Arc, time::Duration};

use domain::platform::Db;
use tokio_util::sync::CancellationToken;

use crate::{bus::Bus, loops::until};

/// Commits within this time are announced together.
const GAP: Duration = Duration::from_millis(2);

/// Announces until it is told to stop.
pub async fn run(db: Db, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let mut commits = db.commits();
    // What was queued before there was a bus.
    commits.mark_changed();
    while let Some(Ok(())) = until(&stop, commits.changed()).await {
        for (queue, count) in db.take_due() {
            if let Err(error) = bus.announce(queue, count).await {
                metrics::counter!("smallrun_announcements_failed_total", "queue" => queue.name())
                    .increment(u64::from(count));
                tracing::debug!(queue = queue.name(), %error, "tasks were not announced; they are found by looking");
            }
        }
        tokio::time::sleep(GAP).await;
    }
}
