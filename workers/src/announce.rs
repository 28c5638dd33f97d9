//! Announces tasks that transactions of this process have queued to run immediately.

use std::{sync::Arc, time::Duration};

use domain::platform::Db;
use tokio_util::sync::CancellationToken;

use crate::{bus::Bus, loops::until};

/// Commits within this time are announced together.
const GAP: Duration = Duration::from_millis(2);

/// Announces tasks until `stop` is cancelled.
pub async fn run(db: Db, bus: Arc<dyn Bus>, stop: CancellationToken) {
    let mut commits = db.commits();
    // Tasks may have been queued before the bus was started.
    commits.mark_changed();
    while let Some(Ok(())) = until(&stop, commits.changed()).await {
        for (queue, count) in db.take_due() {
            if let Err(error) = bus.announce(queue, count).await {
                metrics::counter!("smallrun_announcements_failed_total", "queue" => queue.name())
                    .increment(u64::from(count));
                tracing::debug!(queue = queue.name(), %error, "tasks were not announced; polling finds them");
            }
        }
        tokio::time::sleep(GAP).await;
    }
}
