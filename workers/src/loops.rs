//! What all long-running loops share: they stop on request and restart after a panic.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Runs `work` until it completes or `stop` is cancelled. In the latter case the work is dropped and the
/// result is `None`.
pub(crate) async fn until<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        done = work => Some(done),
    }
}

/// A loop that panics [`DEFECTS_MAX`] times within this time is reported as not running.
const DEFECTS_WITHIN: Duration = Duration::from_secs(30);
/// The number of panics. A single panic is repaired by the restart one second later.
const DEFECTS_MAX: usize = 3;

/// The states of a process's loops. Cheap to clone; clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Loops(Arc<Mutex<BTreeMap<&'static str, LoopState>>>);

#[derive(Debug, Default)]
struct LoopState {
    has_ended: bool,
    /// The times of the last few panics.
    defects: VecDeque<Instant>,
}

impl Loops {
    /// Returns an error that names the loops that are not running, if there are any.
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
            Err(format!("these loops are not running: {}", missing.join(", ")))
        }
    }

    fn note(&self, name: &'static str, change: impl FnOnce(&mut LoopState)) {
        change(self.states().entry(name).or_default());
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<&'static str, LoopState>> {
        // A panic cannot leave the map inconsistent, so poisoning is ignored.
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

/// Runs a loop as a task of its own and restarts it after a panic. Without the relay or the timers the whole
/// shop would stop, which is worse than a panic that repeats.
pub(crate) async fn keep<F, Fut>(name: &'static str, loops: Loops, stop: CancellationToken, start: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    loops.note(name, |state| *state = LoopState::default());
    loop {
        let mut running = AbortOnDropHandle::new(tokio::spawn(start()));
        match (&mut running).await {
            Ok(()) => break,
            Err(error) => {
                loops.note(name, LoopState::add_defect);
                metrics::counter!("smallrun_loop_panics_total", "loop" => name).increment(1);
                tracing::error!(name, %error, "loop panicked; restarting it");
            }
        }
        if until(&stop, tokio::time::sleep(Duration::from_secs(1))).await.is_none() {
            break;
        }
    }
    loops.note(name, |state| state.has_ended = true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_keeps_panicking_or_has_ended_is_reported() {
        let (loops, stop) = (Loops::default(), CancellationToken::new());
        let kept = tokio::spawn(keep("relay", loops.clone(), stop.clone(), || async { panic!("a defect") }));
        tokio::spawn(keep("timers", loops.clone(), stop.clone(), std::future::pending::<()>));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(loops.check(), Ok(()), "two panics");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(loops.check(), Err("these loops are not running: relay".to_owned()));
        stop.cancel();
        kept.await.unwrap();
        tokio::time::sleep(DEFECTS_WITHIN).await;
        assert_eq!(loops.check(), Err("these loops are not running: relay".to_owned()), "it has ended");
    }
}
