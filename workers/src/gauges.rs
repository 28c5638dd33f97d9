//! Gauges that must be asked for: how deep the queues are, how late the oldest work is, what waits for its stamp.

use std::time::Duration;

use domain::platform::{
    Db, audit, outbox,
    tasks::{self, Queue, TaskState},
    timers,
};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::loops::until;

/// Often enough for a scrape every 15 s.
const EVERY: Duration = Duration::from_secs(5);

/// Says what the metrics of this crate mean.
fn describe() {
    describe_counter!("smallrun_facts_relayed_total", "Facts that got their position and were broadcast.");
    describe_counter!("smallrun_timers_fired_total", "Timers that came due and became tasks.");
    describe_counter!("smallrun_tasks_total", "Attempts at tasks, by queue, kind and outcome.");
    describe_counter!("smallrun_task_panics_total", "Attempts at tasks that ended by a defect.");
    describe_counter!("smallrun_loop_panics_total", "Loops that ended by a defect and were started again.");
    describe_counter!("smallrun_gateway_waits_total", "Calls to a gateway that waited for the shared budget.");
    describe_histogram!("smallrun_task_seconds", Unit::Seconds, "Time of an attempt at a task.");
    describe_counter!("smallrun_audit_rows_sealed_total", "Rows of the audit log that were sealed.");
    describe_gauge!("smallrun_audit_rows_unsealed", "Rows of the audit log that wait to be sealed.");
    describe_gauge!("smallrun_queue_depth", "Tasks by queue and state; `dead` ones wait for a person.");
    describe_gauge!("smallrun_queue_lag_seconds", Unit::Seconds, "How long the oldest due task of a queue has been waiting.");
    describe_gauge!("smallrun_timer_lag_seconds", Unit::Seconds, "How long the oldest due timer has been waiting.");
    describe_gauge!("smallrun_facts_unstamped", "Facts that wait for their position.");
}

/// Measures until it is told to stop.
pub(crate) async fn run(db: Db, stop: CancellationToken) {
    describe();
    loop {
        if let Err(error) = measure(&db).await {
            tracing::warn!(%error, "the queues could not be measured");
        }
        if until(&stop, tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn measure(db: &Db) -> Result<(), DbErr> {
    let depths = tasks::depths(db).await?;
    for queue in Queue::ALL {
        for (state, word) in [(TaskState::Ready, "ready"), (TaskState::Running, "running"), (TaskState::Dead, "dead")] {
            let depth = depths.iter().find(|(of, at, _)| (*of, *at) == (queue, state)).map_or(0, |(_, _, depth)| *depth);
            gauge!("smallrun_queue_depth", "queue" => queue.name(), "state" => word).set(float(depth));
        }
        let due = tasks::next_due(db, queue).await?;
        gauge!("smallrun_queue_lag_seconds", "queue" => queue.name()).set(lag(db, due));
    }
    gauge!("smallrun_timer_lag_seconds").set(lag(db, timers::next_due(db).await?));
    let unstamped = i64::try_from(outbox::unstamped_count(db).await?).unwrap_or(i64::MAX);
    gauge!("smallrun_facts_unstamped").set(float(unstamped));
    let unsealed = i64::try_from(audit::unsealed_count(db).await?).unwrap_or(i64::MAX);
    gauge!("smallrun_audit_rows_unsealed").set(float(unsealed));
    Ok(())
}

fn lag(db: &Db, due: Option<chrono::DateTime<chrono::Utc>>) -> f64 {
    let late = due.and_then(|due| db.now().signed_duration_since(due).to_std().ok());
    late.map_or(0.0, |late| late.as_secs_f64())
}

fn float(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap_or(i32::MAX))
}
