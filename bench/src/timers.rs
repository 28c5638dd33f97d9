//! Thousands of holds that run out at the same instant, and the page that others look at meanwhile.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    Outcome, Trouble,
    client::{self, Connection},
    load::{self, Calls, Plan, Summary, Work as _},
    progress,
    server::Server,
    stage::Stage,
};

/// Connections that reserve.
const RESERVING: u32 = 32;
/// Longer than the holds of the stage.
const TRAVEL: &str = "20m";
/// How often it is asked how far it is.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// When nothing has been done for so long, and nothing waits, all is done: longer than the time between two readings of the gauges.
const STILL_FOR: Duration = Duration::from_secs(6);
/// It is given up after this time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was measured.
pub(crate) struct Measured {
    /// The page while timers fire and their tasks are done.
    pub(crate) meanwhile: Summary,
    /// The page before.
    pub(crate) before: Summary,
    /// What became of the timers, in a sentence.
    pub(crate) note: String,
}

/// Makes `count` holds, lets them run out at once, and looks at the page.
pub(crate) async fn run(server: &Server, stage: &Stage, count: u32, plan: Plan) -> Outcome<Measured> {
    progress(format_args!("Reserving {count} times"));
    reserve(stage, count).await?;
    let mut meter = Meter::open(server).await?;
    meter.until_still(|_| true).await?;
    let page = stage.page_request();
    let before = load::run(plan, |_| Calls::repeated(stage.address(), page.clone())).await?;
    let at_first = meter.read().await?;
    progress(format_args!("Letting {count} holds run out"));
    server.travel(TRAVEL).await?;
    let began = Instant::now();
    // Nothing of the beginning is left out.
    let plan = Plan { warm_up: Duration::ZERO, ..plan };
    let fired = |now: &Reading| now.fired >= at_first.fired + f64::from(count);
    let (meanwhile, last) =
        tokio::join!(load::run(plan, |_| Calls::repeated(stage.address(), page.clone())), meter.until_still(fired));
    let (meanwhile, last) = (meanwhile?, last?);
    let at_last = meter.read().await?;
    let tasks = at_last.done - at_first.done;
    let took = last.duration_since(began).as_secs_f64();
    let note = format!(
        "{count} timers came due at once: they and what follows, {tasks:.0} tasks, were done after {took:.1} s ({:.0} tasks/s)",
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

/// What the metrics say.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    /// Timers that have fired.
    fired: f64,
    /// Attempts at tasks that have ended.
    done: f64,
    /// Tasks, timers and facts that wait, as they were some seconds ago.
    waiting: f64,
}

impl Reading {
    fn of(metrics: &str) -> Self {
        let mut reading = Self::default();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let value: f64 = value.parse().unwrap_or(0.0);
            match name.split('{').next().unwrap_or(name) {
                "smallrun_timers_fired_total" => reading.fired += value,
                "smallrun_tasks_total" => reading.done += value,
                "smallrun_queue_depth" | "smallrun_timers_due" | "smallrun_facts_unstamped" => reading.waiting += value,
                _ => {}
            }
        }
        reading
    }
}

/// Reads the metrics of a server.
struct Meter {
    connection: Connection,
    request: Vec<u8>,
}

impl Meter {
    async fn open(server: &Server) -> Outcome<Self> {
        let address = server.address();
        Ok(Self { connection: Connection::open(address).await?, request: client::get(address, "/metrics") })
    }

    async fn read(&mut self) -> Outcome<Reading> {
        let answer = self.connection.exchange(&self.request).await?;
        Ok(Reading::of(&String::from_utf8_lossy(answer.body)))
    }

    /// Waits until nothing is left to do, and answers when the last task was done.
    async fn until_still(&mut self, reached: impl Fn(&Reading) -> bool) -> Outcome<Instant> {
        let began = Instant::now();
        let (mut last, mut done) = (began, -1.0);
        loop {
            let now = self.read().await?;
            if now.done > done {
                (last, done) = (Instant::now(), now.done);
            } else if reached(&now) && now.waiting == 0.0 && last.elapsed() > STILL_FOR {
                return Ok(last);
            }
            if began.elapsed() > PATIENCE {
                return Err(Trouble::new(format_args!("it did not come to rest in {} s", PATIENCE.as_secs())));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let reading = Reading::of(
            "# HELP smallrun_tasks_total x\nsmallrun_tasks_total{queue=\"mail\",outcome=\"done\"} 3\n\
             smallrun_tasks_total{queue=\"sandbox\"} 4\nsmallrun_timers_fired_total 2\nsmallrun_queue_depth{state=\"ready\"} 5\n",
        );
        assert_eq!((reading.done, reading.fired, reading.waiting), (7.0, 2.0, 5.0));
    }
}
