//! Far fewer units than buyers: the rate of decisions, and whether exactly the available units were sold.

use bench::{Outcome, store::Store};
use serde_json::json;

use crate::{
    market::Market,
    options::Options,
    report::{Goal, Section},
    rounds::{Goods, Trial, millis},
};

/// The factor for more connections.
const CROWDED: u32 = 8;
/// The goal for the 99th percentile of the latency of decisions.
const P99_MAX_MS: f64 = 1_000.0;

/// Runs the measurement.
pub(crate) async fn run(market: &mut Market<'_>, options: &Options, store: &Store) -> Outcome<Section> {
    let (mut lines, mut goals, mut json) = (Vec::new(), Vec::new(), Vec::new());
    for connections in [options.connections, options.connections.saturating_mul(CROWDED)] {
        let trial = Trial {
            title: format!("{connections} connections"),
            name: format!("scarce-{connections}"),
            goods: Goods::Drop(options.units),
            connections,
            floor_rows: None,
        };
        let tried = trial.run(market, options, store).await?;
        lines.extend(tried.lines());
        let p99 = tried.middle().map_or(f64::INFINITY, |round| millis(round.pressed.summary.p99));
        goals.push(Goal::speed(
            p99 < P99_MAX_MS,
            format!("p99 at {connections} connections below {P99_MAX_MS} ms: {p99:.1}"),
        ));
        let (mut over, mut under, mut unlike) = (0_u32, 0_u32, 0_u32);
        for round in tried.rounds() {
            // The responses to buyers count, and the stock must agree with them.
            let sold = round.pressed.counts.accepted;
            let to_sell = options.units.min(options.buyers);
            over = over.saturating_add(sold.saturating_sub(options.units));
            under = under.saturating_add(to_sell.saturating_sub(sold));
            let told = round
                .stock
                .is_some_and(|stock| stock.taken == sold && stock.free == options.units.saturating_sub(sold));
            unlike = unlike.saturating_add(u32::from(!told));
        }
        let (units, rounds) = (options.units, tried.rounds().len());
        goals.push(Goal::right(
            over == 0 && under == 0 && unlike == 0,
            format!(
                "{units} sold in each of {rounds} rounds: {over} too many, {under} too few, {unlike} rounds \
                 with a different stock than buyers were told"
            ),
        ));
        json.push(tried.json());
    }
    let (buyers, units) = (options.buyers, options.units);
    let title = format!("{buyers} buyers, {units} units; decided, accepted and refused together");
    Ok(Section { title, lines, goals, json: json!({ "buyers": buyers, "units": units, "trials": json }) })
}
