//! Keeps a process on the clock of its deployment, which a command beside it may set forward.

use std::time::Duration;

use domain::platform::Db;
use tokio_util::task::AbortOnDropHandle;

/// What waits for a time looks for it once a second: a demo's clock must be known by then.
const DEMO_EVERY: Duration = Duration::from_millis(250);
/// Any other deployment may be made a demo by a command beside it.
const OTHERWISE_EVERY: Duration = Duration::from_secs(10);

/// Follows the clock until the handle is dropped.
pub(crate) fn follow_clock(db: &Db) -> AbortOnDropHandle<()> {
    let db = db.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(if db.is_demo() { DEMO_EVERY } else { OTHERWISE_EVERY }).await;
            if let Err(error) = db.refresh_clock().await {
                tracing::warn!(%error, "the clock of the deployment could not be read");
            }
        }
    }))
}
