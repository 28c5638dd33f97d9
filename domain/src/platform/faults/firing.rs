//! Makes faults happen: those of the process, set by its environment, and those of one future, set by a test.

use std::{
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Poll,
};

use sea_orm::DbErr;

use super::{Fault, FaultAction, Point};

/// A fault of the process; it happens once.
struct Armed {
    fault: Fault,
    happened: AtomicBool,
}

static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

tokio::task_local! {
    static COUNTDOWN: Arc<Countdown>;
}

/// Arms the process; only the first call has an effect.
pub(super) fn arm(faults: &[Fault]) {
    ARMED.get_or_init(|| {
        faults.iter().map(|fault| Armed { fault: *fault, happened: AtomicBool::new(false) }).collect()
    });
}

pub(super) async fn pass(point: Point) -> Result<(), DbErr> {
    if let Ok(countdown) = COUNTDOWN.try_with(Arc::clone)
        && countdown.is_due(point)
    {
        match countdown.ending {
            // Nothing polls this future any more: `crash_at` drops it at this point, as a crash would.
            Ending::Crash => pending().await,
            Ending::Error => return Err(failure(point)),
        }
    }
    let of_point =
        |armed: &&Armed| armed.fault.point == point && !armed.happened.swap(true, Ordering::Relaxed);
    let Some(armed) = ARMED.get().and_then(|armed| armed.iter().find(of_point)) else { return Ok(()) };
    tracing::warn!(point = point.name(), action = ?armed.fault.action, "a fault happens");
    match armed.fault.action {
        FaultAction::Abort => std::process::abort(),
        FaultAction::Error => Err(failure(point)),
        FaultAction::Stall(time) => {
            tokio::time::sleep(time).await;
            Ok(())
        }
    }
}

fn failure(point: Point) -> DbErr {
    DbErr::Custom(format!("the fault point {} fails", point.name()))
}

/// What happens to a future at the chosen point.
#[derive(Clone, Copy)]
enum Ending {
    Crash,
    Error,
}

/// Counts down the points that a future passes.
struct Countdown {
    left: AtomicU32,
    ending: Ending,
    ended_at: OnceLock<Point>,
}

impl Countdown {
    fn new(nth: u32, ending: Ending) -> Arc<Self> {
        Arc::new(Self { left: AtomicU32::new(nth), ending, ended_at: OnceLock::new() })
    }

    /// Returns whether this is the chosen point.
    fn is_due(&self, point: Point) -> bool {
        let down = |left: u32| left.checked_sub(1);
        let due = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, down) == Ok(1);
        if due {
            self.ended_at.get_or_init(|| point);
        }
        due
    }
}

/// Runs `work` up to its `nth` point, counted from 1, and drops it there, as if the process had crashed: an
/// open transaction is rolled back, committed changes stay, and the caller gets no result. The error is the
/// point. Work that passes fewer points completes normally.
///
/// Points are counted in the task that polls `work`, not in tasks that it spawns.
pub async fn crash_at<F: Future>(nth: u32, work: F) -> Result<F::Output, Point> {
    let countdown = Countdown::new(nth, Ending::Crash);
    let mut work = pin!(COUNTDOWN.scope(Arc::clone(&countdown), work));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => countdown.ended_at.get().map_or(Poll::Pending, |point| Poll::Ready(Err(*point))),
    })
    .await
}

/// Runs `work` and makes its `nth` point, counted from 1, fail.
pub async fn fail_at<F: Future>(nth: u32, work: F) -> F::Output {
    COUNTDOWN.scope(Countdown::new(nth, Ending::Error), work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn three(passed: &AtomicU32) -> Result<(), DbErr> {
        for point in [Point::ReserveKeyed, Point::ReserveGated, Point::ReserveWritten] {
            pass(point).await?;
            passed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_future_is_dropped_at_the_chosen_point() {
        for (nth, expected) in [(1, Err(Point::ReserveKeyed)), (3, Err(Point::ReserveWritten)), (4, Ok(()))] {
            let passed = AtomicU32::new(0);
            let ended = crash_at(nth, three(&passed)).await;
            assert_eq!(ended.map(|done| done.unwrap()), expected);
            assert_eq!(passed.into_inner(), nth - 1);
        }
    }

    #[tokio::test]
    async fn the_chosen_point_fails_once() {
        let passed = AtomicU32::new(0);
        let twice = async {
            let first = three(&passed).await;
            (first, three(&passed).await)
        };
        let (first, second) = fail_at(2, twice).await;
        assert_eq!(first, Err(DbErr::Custom("the fault point reserve.gated fails".to_owned())));
        assert_eq!((second, passed.into_inner()), (Ok(()), 4));
    }
}
