//! As many units as buyers: the rate of reservations with one process and with three.

use bench::{Outcome, store::Store};
use serde_json::json;

use crate::{
    market::Market,
    options::Options,
    report::{Goal, Section},
    rounds::{Goods, Trial, Tried},
};

/// The goal for combining, as a multiple of the floor.
const FLOORS_MIN: f64 = 5.0;
/// The number of processes that share one drop, if there is a bus.
const PROCESSES: usize = 3;
/// The goal for all processes together, as a part of the rate of one.
const SHARED_MIN: f64 = 0.5;

/// Runs the measurement. Also returns the number of reservations per second of one process.
pub(crate) async fn run(
    market: &mut Market<'_>,
    options: &Options,
    store: &Store,
) -> Outcome<(Section, f64)> {
    let alone = trial(options, "1 process", "alone").run(market, options, store).await?;
    let mut lines = alone.lines();
    let ratio = alone.ratio().unwrap_or(0.0);
    let mut goals = vec![
        everybody_has_one(&alone, options),
        Goal::speed(
            ratio >= FLOORS_MIN,
            format!("one process reaches {FLOORS_MIN} floors or more: {ratio:.2}"),
        ),
    ];
    let mut json = vec![alone.json()];
    if market.can_grow() {
        let together = together(market, options, store).await?;
        let ratio = together.per_second() / alone.per_second();
        lines.extend(together.lines());
        goals.push(everybody_has_one(&together, options));
        goals.push(Goal::speed(
            ratio >= SHARED_MIN,
            format!("{PROCESSES} processes reach {SHARED_MIN} of one process or more: {ratio:.2}"),
        ));
        json.push(together.json());
    } else {
        lines.push(format!(
            "  {PROCESSES} processes need PostgreSQL and RabbitMQ: scripts/with-servers --durable …"
        ));
    }
    let (buyers, connections) = (options.buyers, options.connections);
    let title = format!("{buyers} buyers, a unit for each, {connections} connections");
    let json = json!({ "buyers": buyers, "connections": connections, "trials": json });
    Ok((Section { title, lines, goals, json }, alone.per_second()))
}

/// Measures with several processes, and returns to one process afterwards even after an error.
async fn together(market: &mut Market<'_>, options: &Options, store: &Store) -> Outcome<Tried> {
    market.grow(PROCESSES).await?;
    let together = trial(options, "3 processes", "together").run(market, options, store).await;
    market.shrink().await?;
    together
}

fn trial(options: &Options, title: &str, name: &str) -> Trial {
    Trial {
        title: title.to_owned(),
        name: name.to_owned(),
        goods: Goods::Drop(options.buyers),
        connections: options.connections,
        floor_rows: Some(1),
    }
}

fn everybody_has_one(tried: &Tried, options: &Options) -> Goal {
    let all = options.buyers;
    let right = tried.rounds().iter().filter(|round| {
        let sold = round.stock.is_some_and(|stock| stock.taken == all && stock.free == 0);
        sold && round.pressed.counts.accepted == all
    });
    let (right, rounds) = (right.count(), tried.rounds().len());
    Goal::right(
        right == rounds,
        format!(
            "{}: every buyer has a unit and the stock agrees, in {right} of {rounds} rounds",
            tried.title
        ),
    )
}
