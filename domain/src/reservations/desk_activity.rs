//! Lets background work wait until no buyer waits at the desk.

use std::{mem, time::Duration};

use tokio::sync::watch;

/// Tracks whether requests wait for a decision at the [`Desk`](super::desk::Desk) of this process. Background
/// work that can be postponed waits for [`DeskActivity::idle`] first, so that it does not take the processor
/// and the database writer from buyers. Clones share one state. The default value is idle, and stays so in a
/// process without a desk.
#[derive(Debug, Clone, Default)]
pub struct DeskActivity(watch::Sender<bool>);

impl DeskActivity {
    pub(super) fn set_busy(&self, busy: bool) {
        self.0.send_if_modified(|before| mem::replace(before, busy) != busy);
    }

    /// Waits until no request waits at the desk, but at most for `wait_max`.
    pub async fn idle(&self, wait_max: Duration) {
        let mut busy = self.0.subscribe();
        let _is_idle_or_wait_is_over = tokio::time::timeout(wait_max, busy.wait_for(|busy| !*busy)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn idle_waits_while_the_desk_is_busy_but_not_longer_than_the_maximum() {
        let desk = DeskActivity::default();
        let elapsed = async |wait_max_secs| {
            let began = tokio::time::Instant::now();
            desk.idle(Duration::from_secs(wait_max_secs)).await;
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
