//! What all long-running loops share: to stop when told, and to survive a defect.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Runs the work unless the token is cancelled first: then `None`, and the work is dropped where it waits.
pub(crate) async fn until<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

/// Runs a loop as a task of its own, and starts it again should it panic: without a relay or without
/// timers the shop stands still, which is worse than a defect that comes back.
pub(crate) async fn keep<F, Fut>(name: &'static str, stop: CancellationToken, start: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    loop {
        let mut running = AbortOnDrop(tokio::spawn(start()));
        match (&mut running.0).await {
            Ok(()) => return,
            Err(error) => {
                metrics::counter!("smallrun_loop_panics_total", "loop" => name).increment(1);
                tracing::error!(name, %error, "a loop ended by a defect; it is started again");
            }
        }
        if until(&stop, tokio::time::sleep(Duration::from_secs(1))).await.is_none() {
            return;
        }
    }
}

/// A task that ends with whoever waits for it.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
