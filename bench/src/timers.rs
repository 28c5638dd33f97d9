//! Thousands of holds that expire at the same time, and the latency of a page meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bench::{
    Outcome, Trouble,
    load::{self, Calls, Plan, Summary, Work as _},
    meter::{Meter, Reading},
    progress,
    server::Server,
};
use tokio::task::JoinSet;

use crate::stage::Stage;

/// The number of connections that make reservations.
const RESERVING: u32 = 32;
/// Longer than the holds of the stage.
const TRAVEL: &str = "20m";

/// The results.
pub(crate) struct Measured {
    /// The page while timers fire and their tasks run.
    pub(crate) meanwhile: Summary,
    /// The page before.
    pub(crate) before: Summary,
    /// A sentence about the timers and their tasks.
    pub(crate) note: String,
}

/// Makes `count` holds, lets them expire at the same time, and measures the page.
pub(crate) async fn run(server: &Server, stage: &Stage, count: u32, plan: Plan) -> Outcome<Measured> {
    progress(format_args!("Making {count} reservations"));
    reserve(stage, count).await?;
    let mut meter = Meter::open(server).await?;
    meter.until_still(|_| true).await?;
    let page = stage.page_request();
    let before = load::run(plan, |_| Calls::repeated(stage.address(), page.clone())).await?;
    let at_first = meter.read().await?;
    progress(format_args!("Letting {count} holds expire"));
    server.travel(TRAVEL).await?;
    let began = Instant::now();
    // No warm-up, so that the beginning is measured as well.
    let plan = Plan { warm_up: Duration::ZERO, ..plan };
    let fired = |now: &Reading| now.fired >= at_first.fired + f64::from(count);
    let (meanwhile, last) = tokio::join!(
        load::run(plan, |_| Calls::repeated(stage.address(), page.clone())),
        meter.until_still(fired)
    );
    let (meanwhile, last) = (meanwhile?, last?);
    let at_last = meter.read().await?;
    let tasks = at_last.done - at_first.done;
    let took = last.duration_since(began).as_secs_f64();
    let note = format!(
        "{count} timers came due at once: they and the tasks that follow, {tasks:.0} in all, were done \
         after {took:.1} s ({:.0} tasks/s)",
        tasks / took
    );
    Ok(Measured { meanwhile, before, note })
}

async fn reserve(stage: &Stage, count: u32) -> Outcome<()> {
    let made = Arc::new(AtomicU32::new(0));
    let mut reserving = JoinSet::new();
    for connection in 0..RESERVING {
        let (mut calls, made) = (stage.reserving(connection), Arc::clone(&made));
        reserving.spawn(async move {
            calls.prepare().await?;
            while made.fetch_add(1, Ordering::Relaxed) < count {
                calls.once().await?;
            }
            Ok::<_, Trouble>(())
        });
    }
    while let Some(done) = reserving.join_next().await {
        done.map_err(Trouble::new)??;
    }
    Ok(())
}
