//! Tracks whether requests wait at the desk of this process.

use std::{mem, time::Duration};

use tokio::sync::watch;

/// Tracks whether requests wait for a decision at the [`Desk`](super::desk::Desk) of this process. Background
/// work that can be postponed waits for [`DeskActivity::idle`] first, so that it does not take the processor
/// and the database writer from buyers. Clones share one state. The default belongs to a process without a
/// desk, which is always idle.
#[derive(Debug, Clone, Default)]
pub struct DeskActivity(watch::Sender<bool>);

impl DeskActivity {
    pub(super) fn set_busy(&self, busy: bool) {
        self.0.send_if_modified(|before| mem::replace(before, busy) != busy);
    }

    /// Waits until no request waits at the desk, or until `patience` is over.
    pub async fn idle(&self, patience: Duration) {
        let mut busy = self.0.subscribe();
        let _patience_is_over = tokio::time::timeout(patience, busy.wait_for(|busy| !*busy)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_waits_while_the_desk_is_busy_and_no_longer_than_its_patience() {
        let desk = DeskActivity::default();
        let elapsed = async |patience| {
            let began = tokio::time::Instant::now();
            desk.idle(Duration::from_secs(patience)).await;
            began.elapsed().as_secs()
        };
        assert_eq!(elapsed(5).await, 0);
        desk.set_busy(true);
        assert_eq!(elapsed(5).await, 5);
        let other = desk.clone();
        let end = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            other.set_busy(false);
        };
        assert_eq!(tokio::join!(elapsed(5), end).0, 2);
    }
}
