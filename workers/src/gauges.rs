//! Gauges that must be asked for: how deep the queues are, how late the oldest work is, what waits for its stamp.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::platform::{
    Db, audit, outbox,
    tasks::{self, Queue, TaskState},
    timers,
};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Bus, BusState},
    loops::until,
};

/// Often enough for a scrape every 15 s.
const EVERY: Duration = Duration::from_secs(5);

/// Says what the metrics of this crate mean.
fn describe() {
    describe_counter!("smallrun_facts_relayed_total", "Facts that got their position and were broadcast.");
    describe_counter!("smallrun_timers_fired_total", "Timers that came due and became tasks.");
    describe_counter!(
        "smallrun_tasks_total",
        "Attempts at tasks, by queue, kind and outcome: `done`; `retry` and `discard` as the cause was said to be; `timed_out`; \
         `panic`; `lost`, its worker fell silent; `unreadable`, not a task of this version; `handed_back` at a stop; `overtaken` by \
         another worker; `unsettled`, its end could not be written."
    );
    describe_counter!("smallrun_task_retries_total", "Attempts at tasks that failed and are tried again.");
    describe_counter!("smallrun_dead_letters_total", "Tasks that failed too often, or for good, and were set aside.");
    describe_counter!("smallrun_task_panics_total", "Attempts at tasks that ended by a defect.");
    describe_counter!("smallrun_task_timeouts_total", "Attempts at tasks that took too long and were cut off.");
    describe_counter!(
        "smallrun_reconciled_total",
        "What was missed and is repaired, by what. `payment_unheard` and `payment_not_ended` count the questions to a gateway, \
         `payment_outcome` those whose answer was news."
    );
    describe_counter!("smallrun_loop_panics_total", "Loops that ended by a defect and were started again.");
    describe_counter!("smallrun_gateway_waits_total", "Calls to a gateway that waited for the shared budget.");
    describe_histogram!("smallrun_task_seconds", Unit::Seconds, "Time of an attempt at a task.");
    describe_gauge!("smallrun_bus_up", "Whether the bus carries: 0 while a broker does not answer, or takes nothing in.");
    describe_counter!("smallrun_bus_connects_total", "Connections that were made to the broker.");
    describe_counter!("smallrun_announcements_failed_total", "Tasks that no worker was told of: they are found by looking.");
    describe_counter!(
        "smallrun_broadcasts_failed_total",
        "Batches of facts that were not broadcast: they are read from the table."
    );
    describe_counter!("smallrun_audit_rows_sealed_total", "Rows of the audit log that were sealed.");
    describe_gauge!("smallrun_audit_rows_unsealed", "Rows of the audit log that wait to be sealed.");
    describe_gauge!("smallrun_queue_depth", "Tasks by queue and state; `dead` ones wait for a person.");
    describe_gauge!(
        "smallrun_queue_oldest_seconds",
        Unit::Seconds,
        "How long ago the oldest task of a queue became necessary that is not done, dead letters aside."
    );
    describe_gauge!("smallrun_queue_lag_seconds", Unit::Seconds, "How long the oldest due task of a queue has been waiting.");
    describe_gauge!("smallrun_timers_due", "Timers that are due.");
    describe_gauge!("smallrun_timer_lag_seconds", Unit::Seconds, "How long the oldest due timer has been waiting.");
    describe_gauge!("smallrun_facts_unstamped", "Facts that wait for their position.");
    describe_gauge!("smallrun_facts_lag_seconds", Unit::Seconds, "How long the oldest fact has been waiting for its position.");
}

/// Measures until it is told to stop.
pub(crate) async fn run(db: Db, bus: Arc<dyn Bus>, stop: CancellationToken) {
    describe();
    loop {
        gauge!("smallrun_bus_up").set(if bus.state() == BusState::Up { 1.0 } else { 0.0 });
        if let Err(error) = measure(&db).await {
            tracing::warn!(%error, "the queues could not be measured");
        }
        if until(&stop, tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

/// Four statements, however many queues there are.
async fn measure(db: &Db) -> Result<(), DbErr> {
    let now = db.now();
    let loads = tasks::loads(db).await?;
    for queue in Queue::ALL {
        let load = |state| loads.iter().find(|load| (load.queue, load.state) == (queue, state));
        let (ready, running) = (load(TaskState::Ready), load(TaskState::Running));
        for (load, word) in [(ready, "ready"), (running, "running"), (load(TaskState::Dead), "dead")] {
            let depth = load.map_or(0, |load| load.depth);
            gauge!("smallrun_queue_depth", "queue" => queue.name(), "state" => word).set(float(depth));
        }
        let oldest_at = [ready, running].into_iter().flatten().map(|load| load.oldest_at).min();
        gauge!("smallrun_queue_oldest_seconds", "queue" => queue.name()).set(age(now, oldest_at));
        gauge!("smallrun_queue_lag_seconds", "queue" => queue.name()).set(age(now, ready.map(|load| load.due_at)));
    }
    let (due, due_since) = timers::due(db, now).await?;
    gauge!("smallrun_timers_due").set(float(due));
    gauge!("smallrun_timer_lag_seconds").set(age(now, due_since));
    let (unstamped, since) = outbox::unstamped(db).await?;
    gauge!("smallrun_facts_unstamped").set(float(unstamped));
    gauge!("smallrun_facts_lag_seconds").set(age(now, since));
    let unsealed = i64::try_from(audit::unsealed_count(db).await?).unwrap_or(i64::MAX);
    gauge!("smallrun_audit_rows_unsealed").set(float(unsealed));
    Ok(())
}

/// Seconds since then; 0 for never, and for what is to come.
pub(crate) fn age(now: DateTime<Utc>, since: Option<DateTime<Utc>>) -> f64 {
    let age = since.and_then(|since| now.signed_duration_since(since).to_std().ok());
    age.map_or(0.0, |age| age.as_secs_f64())
}

pub(crate) fn float(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use domain::platform::{
        access::Actor,
        ids::{AccountId, CheckoutId},
        in_tx,
        mail::Letter,
        tasks::Task,
        timers::TimerKind,
    };
    use testkit::{Kit, on_both};
    use uuid::Uuid;

    use super::*;

    on_both! {
        async fn measuring_costs_four_statements_whatever_there_is(kit: Kit) {
            let mut costs = Vec::new();
            for count in [0, 1, 30] {
                in_tx(&kit.db, Actor::System("test"), async |tx| {
                    for number in 0..count {
                        let account = AccountId(Uuid::from_u128(number));
                        tasks::enqueue(tx, Task::SendMail { letter: Letter::ConfirmEmail { account } }).await?;
                        timers::set(tx, TimerKind::HoldLapse, CheckoutId(Uuid::from_u128(number)), tx.now()).await?;
                        let fact = domain::platform::facts::Fact::AccountChanged { account };
                        outbox::publish(tx, 1, &fact).await?;
                    }
                    Ok::<_, DbErr>(())
                })
                .await
                .unwrap();
                let before = kit.db.statements();
                measure(&kit.db).await.unwrap();
                costs.push(kit.db.statements() - before);
            }
            assert_eq!(costs, [4, 4, 4]);
        }
    }

    #[test]
    fn an_age_is_never_negative() {
        let now = Kit::start();
        let ages = [None, Some(now), Some(now - chrono::TimeDelta::seconds(90)), Some(now + chrono::TimeDelta::hours(1))];
        assert_eq!(ages.map(|since| age(now, since)), [0.0, 0.0, 90.0, 0.0]);
    }
}
