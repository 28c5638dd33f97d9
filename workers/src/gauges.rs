//! Gauges that are measured by queries: the depth and the lag of the queues, due timers, unstamped facts and
//! unsealed audit rows.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::platform::{
    Db, audit,
    facts::Fact,
    outbox,
    tasks::{self, Queue, QueueLoad, TaskState},
    timers,
};
use domain::registry;
use metrics::gauge;
use sea_orm::DbErr;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::{Bus, BusState},
    loops::until,
    unknown::warn_once,
};

/// How often the gauges are measured: often enough for a scrape interval of 15 s.
const EVERY: Duration = Duration::from_secs(5);

/// Measures until `stop` is cancelled. `tasks` are the kinds of tasks that this process knows.
pub(crate) async fn run(db: Db, bus: Arc<dyn Bus>, tasks: Vec<&'static str>, stop: CancellationToken) {
    loop {
        gauge!("smallrun_bus_up").set(if bus.state() == BusState::Up { 1.0 } else { 0.0 });
        if let Err(error) = measure(&db, &tasks).await {
            tracing::warn!(%error, "measuring the queues failed");
        }
        if until(&stop, tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

/// Runs four statements, however many queues there are.
async fn measure(db: &Db, tasks: &[&'static str]) -> Result<(), DbErr> {
    let now = db.now();
    let (loads, unknown): (Vec<_>, Vec<_>) =
        tasks::loads(db).await?.into_iter().partition(|load| tasks.contains(&load.kind.as_str()));
    leave_to_newer("task", unknown.iter().map(|load| (load.kind.as_str(), load.depth)));
    for queue in Queue::ALL {
        let of = |state| loads.iter().filter(move |load| (load.queue, load.state) == (queue, state));
        for (state, word) in
            [(TaskState::Ready, "ready"), (TaskState::Running, "running"), (TaskState::Dead, "dead")]
        {
            let depth = of(state).map(|load| load.depth).fold(0, i64::saturating_add);
            gauge!("smallrun_queue_depth", "queue" => queue.name(), "state" => word).set(float(depth));
        }
        let oldest_at =
            of(TaskState::Ready).chain(of(TaskState::Running)).map(|load: &QueueLoad| load.oldest_at).min();
        gauge!("smallrun_queue_oldest_seconds", "queue" => queue.name()).set(age(now, oldest_at));
        let due_at = of(TaskState::Ready).map(|load| load.due_at).min();
        gauge!("smallrun_queue_lag_seconds", "queue" => queue.name()).set(age(now, due_at));
    }
    let (due, since) = known("timer", timers::due(db, now).await?, &registry::timers().names());
    gauge!("smallrun_timers_due").set(float(due));
    gauge!("smallrun_timer_lag_seconds").set(age(now, since));
    let (unstamped, since) = known("fact", outbox::unstamped(db).await?, &Fact::KINDS);
    gauge!("smallrun_facts_unstamped").set(float(unstamped));
    gauge!("smallrun_facts_lag_seconds").set(age(now, since));
    let unsealed = i64::try_from(audit::unsealed_count(db).await?).unwrap_or(i64::MAX);
    gauge!("smallrun_audit_rows_unsealed").set(float(unsealed));
    Ok(())
}

/// Returns the number of rows of known kinds, and the earliest of their times. Unknown kinds are logged once.
fn known(
    what: &'static str,
    kinds: Vec<(String, i64, DateTime<Utc>)>,
    known: &[&str],
) -> (i64, Option<DateTime<Utc>>) {
    let (known, unknown): (Vec<_>, Vec<_>) =
        kinds.into_iter().partition(|(kind, ..)| known.contains(&kind.as_str()));
    leave_to_newer(what, unknown.iter().map(|(kind, count, _)| (kind.as_str(), *count)));
    let count = known.iter().map(|(_, count, _)| *count).fold(0, i64::saturating_add);
    (count, known.iter().map(|(.., since)| *since).min())
}

/// Counts rows that wait for a newer version, and logs each of their kinds once. They must not look like work
/// that is overdue.
fn leave_to_newer<'a>(what: &'static str, unknown: impl Iterator<Item = (&'a str, i64)>) {
    let mut count = 0_i64;
    for (kind, more) in unknown {
        warn_once(what, kind);
        count = count.saturating_add(more);
    }
    gauge!("smallrun_unknown_kinds", "what" => what).set(float(count));
}

/// Returns the seconds since a time, or 0 if there is none or it lies in the future.
pub(crate) fn age(now: DateTime<Utc>, since: Option<DateTime<Utc>>) -> f64 {
    let age = since.and_then(|since| now.signed_duration_since(since).to_std().ok());
    age.map_or(0.0, |age| age.as_secs_f64())
}

pub(crate) fn float(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use domain::{
        platform::{
            access::Actor,
            ids::{AccountId, CheckoutId},
            in_tx,
            tasks::Task,
        },
        reservations::tasks::HoldLapse,
    };
    use testkit::{Kit, Numbered, on_both};
    use uuid::Uuid;

    use super::*;

    on_both! {
        async fn measuring_takes_four_statements_regardless_of_the_data(kit: Kit) {
            let mut costs = Vec::new();
            for count in [0, 1, 30] {
                in_tx(&kit.db, Actor::System("test"), async |tx| {
                    for number in 0..count {
                        let account = AccountId(Uuid::from_u128(number));
                        tasks::enqueue(tx, Numbered { number: u64::try_from(number).unwrap() }).await?;
                        timers::set::<HoldLapse>(tx, CheckoutId(Uuid::from_u128(number)), tx.now()).await?;
                        let fact = Fact::AccountChanged { account };
                        outbox::publish(tx, 1, &fact).await?;
                    }
                    Ok::<_, DbErr>(())
                })
                .await
                .unwrap();
                let before = kit.db.statements();
                measure(&kit.db, &[Numbered::KIND]).await.unwrap();
                costs.push(kit.db.statements() - before);
            }
            assert_eq!(costs, [4, 4, 4]);
        }
    }

    #[test]
    fn unknown_kinds_do_not_count_as_overdue_work() {
        let (now, long_ago) = (Kit::start(), Kit::start() - chrono::TimeDelta::days(1));
        let kinds = || {
            vec![
                ("old".to_owned(), 2, now),
                ("of_a_newer_version".to_owned(), 7, long_ago),
                ("other".to_owned(), 1, now),
            ]
        };
        assert_eq!(known("test", kinds(), &["old", "other"]), (3, Some(now)));
        assert_eq!(known("test", kinds(), &[]), (0, None));
    }

    #[test]
    fn an_age_is_never_negative() {
        let now = Kit::start();
        let ages = [
            None,
            Some(now),
            Some(now - chrono::TimeDelta::seconds(90)),
            Some(now + chrono::TimeDelta::hours(1)),
        ];
        assert_eq!(ages.map(|since| age(now, since)), [0.0, 0.0, 90.0, 0.0]);
    }
}
