//! Keeps the clock of a process equal to the deployment's clock, which another command can set forward.

use std::time::Duration;

use domain::platform::Db;
use tokio_util::task::AbortOnDropHandle;

/// How often a demo reads its clock. Timers are checked once a second, so the clock must be current by then.
const DEMO_EVERY: Duration = Duration::from_millis(250);
/// How often any other deployment reads its clock, because a command can turn it into a demo.
const OTHERWISE_EVERY: Duration = Duration::from_secs(10);

/// Follows the clock until the handle is dropped.
pub(crate) fn follow_clock(db: &Db) -> AbortOnDropHandle<()> {
    let db = db.clone();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            tokio::time::sleep(if db.is_demo() { DEMO_EVERY } else { OTHERWISE_EVERY }).await;
            if let Err(error) = db.refresh_clock().await {
                tracing::warn!(%error, "could not read the deployment's clock");
            }
        }
    }))
}
