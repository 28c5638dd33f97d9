//! A thousand drops at once, each buyer on one of them at random: the cost of combining where there is little
//! to combine.

use bench::{Outcome, store::Store};
use serde_json::json;

use crate::{
    combining,
    market::Market,
    options::Options,
    report::{Goal, Section},
    rounds::{Goods, Trial},
};

/// Enough units that no drop sells out.
const UNITS: u32 = 10_000;

/// Runs the measurement. `hot` is the rate on one drop, if that was measured.
pub(crate) async fn run(
    market: &mut Market<'_>,
    options: &Options,
    store: &Store,
    hot: Option<f64>,
) -> Outcome<Section> {
    let items = market.announce_many(options.drops, UNITS).await?;
    let trial = Trial {
        title: format!("{} drops", options.drops),
        name: "spread".to_owned(),
        goods: Goods::Items(items),
        connections: options.connections,
        floor_rows: Some(options.drops),
    };
    let tried = trial.run(market, options, store).await?;
    let mut lines = tried.lines();
    let beside = hot.map(|hot| tried.per_second() / hot);
    lines.extend(beside.map(|beside| format!("      as a part of the rate on one drop: {beside:.2}")));
    let combining = combining::measure(options.drops, options.connections, options.buyers).await?;
    lines.push(format!(
        "  the rules alone       {:>7.0}/s through the desk, {:.0}/s in a transaction each: times {:.2}",
        combining.desk,
        combining.alone,
        combining.ratio()
    ));
    let all = tried.rounds().iter().all(|round| round.pressed.counts.accepted == options.buyers);
    let goals = vec![
        Goal::right(all, "every buyer has a unit in every round".to_owned()),
        Goal::speed(
            combining.ratio() >= 1.0,
            "combining is not slower than a transaction per request".to_owned(),
        ),
    ];
    let title = format!(
        "{} buyers of one unit, {} drops, {} connections",
        options.buyers, options.drops, options.connections
    );
    Ok(Section {
        title,
        lines,
        goals,
        json: json!({ "trial": tried.json(), "ofOneDrop": beside, "combining": combining.ratio() }),
    })
}
