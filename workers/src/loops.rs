//! What all long-running loops share: to stop when told, and to survive a defect.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// Runs the work unless the token is cancelled first: then `None`, and the work is dropped where it waits.
pub(crate) async fn until<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

/// Defects of a loop in this time …
const DEFECTS_WITHIN: Duration = Duration::from_secs(30);
/// … that say that it does not work: one alone is over with the next start, a second later.
const DEFECTS_MAX: usize = 3;

/// How the loops of a process are. Cheap to clone; all clones are of the same loops.
#[derive(Debug, Clone, Default)]
pub struct Loops(Arc<Mutex<BTreeMap<&'static str, LoopState>>>);

#[derive(Debug, Default)]
struct LoopState {
    has_ended: bool,
    /// When it ended by a defect: the last few times.
    defects: VecDeque<Instant>,
}

impl Loops {
    /// Whether all loops do their work; else which do not, in a sentence.
    pub fn check(&self) -> Result<(), String> {
        let missing = |state: &LoopState| {
            let recent = state.defects.iter().filter(|at| at.elapsed() < DEFECTS_WITHIN).count();
            state.has_ended || recent >= DEFECTS_MAX
        };
        let states = self.states();
        let missing: Vec<_> =
            states.iter().filter(|(_, state)| missing(state)).map(|(name, _)| *name).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("these loops do not work: {}", missing.join(", ")))
        }
    }

    fn note(&self, name: &'static str, change: impl FnOnce(&mut LoopState)) {
        change(self.states().entry(name).or_default());
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, LoopState>> {
        // A map of states is whole whatever panicked while it was held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LoopState {
    fn add_defect(&mut self) {
        self.defects.push_back(Instant::now());
        while self.defects.len() > DEFECTS_MAX {
            self.defects.pop_front();
        }
    }
}

/// Runs a loop as a task of its own, and starts it again should it panic: without a relay or without
/// timers the shop stands still, which is worse than a defect that comes back.
pub(crate) async fn keep<F, Fut>(name: &'static str, loops: Loops, stop: CancellationToken, start: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    loops.note(name, |state| *state = LoopState::default());
    loop {
        let mut running = AbortOnDrop(tokio::spawn(start()));
        match (&mut running.0).await {
            Ok(()) => break,
            Err(error) => {
                loops.note(name, LoopState::add_defect);
                metrics::counter!("smallrun_loop_panics_total", "loop" => name).increment(1);
                tracing::error!(name, %error, "a loop ended by a defect; it is started again");
            }
        }
        if until(&stop, tokio::time::sleep(Duration::from_secs(1))).await.is_none() {
            break;
        }
    }
    loops.note(name, |state| state.has_ended = true);
}

/// A task that ends with whoever waits for it.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ends_by_a_defect_again_and_again_or_for_good_is_missing() {
        let (loops, stop) = (Loops::default(), CancellationToken::new());
        let kept = tokio::spawn(keep("relay", loops.clone(), stop.clone(), || async { panic!("a defect") }));
        tokio::spawn(keep("timers", loops.clone(), stop.clone(), std::future::pending::<()>));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(loops.check(), Ok(()), "two defects");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(loops.check(), Err("these loops do not work: relay".to_owned()));
        stop.cancel();
        kept.await.unwrap();
        tokio::time::sleep(DEFECTS_WITHIN).await;
        assert_eq!(loops.check(), Err("these loops do not work: relay".to_owned()), "it has ended");
    }
}
