//! Repeats the same crowd several times, each time on new drops and next to its floor. The median round is
//! reported.

use std::{sync::Arc, time::Duration};

use bench::{
    Outcome, floor_sql,
    load::{Plan, Summary},
    progress,
    store::Store,
};
use serde_json::{Value, json};

use crate::{
    crowd::{Crowd, Pressed},
    market::{Market, Stock},
    options::Options,
};

/// The number of buyers of the warm-up on another drop, so that nothing happens for the first time during the
/// measurement.
pub(crate) const WARMING: u32 = 500;

/// The items that the crowd reserves.
#[derive(Debug, Clone)]
pub(crate) enum Goods {
    /// A new drop in each round, with this number of units, at most one per buyer.
    Drop(u32),
    /// These items in every round.
    Items(Arc<[String]>),
}

/// The parameters of a trial.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    /// The title in the table.
    pub(crate) title: String,
    /// The prefix of the idempotency keys.
    pub(crate) name: String,
    pub(crate) goods: Goods,
    pub(crate) connections: u32,
    /// The number of rows that the floor's transactions lock, if there is a floor.
    pub(crate) floor_rows: Option<u32>,
}

/// All rounds of a trial, slowest first.
pub(crate) struct Tried {
    pub(crate) title: String,
    rounds: Vec<Round>,
}

/// One round.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) pressed: Pressed,
    pub(crate) floor: Option<Summary>,
    /// The stock of the round's drop afterwards, as reported by the API.
    pub(crate) stock: Option<Stock>,
}

impl Trial {
    /// Runs the trial.
    pub(crate) async fn run(
        self,
        market: &mut Market<'_>,
        options: &Options,
        store: &Store,
    ) -> Outcome<Tried> {
        let warming = Crowd {
            counters: market.counters(),
            tokens: market.buyers(0..count(WARMING)),
            items: [market.announce(WARMING, 1).await?].into(),
            connections: self.connections,
            name: format!("{}-warm", self.name),
        };
        warming.press(Vec::new()).await?;
        let mut rounds = Vec::new();
        for number in 1..=options.rounds {
            progress(format_args!("Measuring {}, round {number} of {}", self.title, options.rounds));
            rounds.push(self.round(market, options, store, number).await?);
        }
        rounds.sort_by(|one, other| one.per_second().total_cmp(&other.per_second()));
        Ok(Tried { title: self.title, rounds })
    }

    async fn round(
        &self,
        market: &mut Market<'_>,
        options: &Options,
        store: &Store,
        number: u32,
    ) -> Outcome<Round> {
        let (items, of_its_own) = match &self.goods {
            Goods::Drop(units) => {
                let item = market.announce(*units, 1).await?;
                ([item.clone()].into(), Some(item))
            }
            Goods::Items(items) => (Arc::clone(items), None),
        };
        market.rest().await?;
        let floor = match self.floor_rows {
            Some(rows) => {
                let time = options.floor_time();
                let plan = Plan {
                    connections: self.connections,
                    warm_up: time.checked_div(4).unwrap_or(Duration::ZERO),
                    time,
                };
                Some(floor_sql::run(store, plan, rows).await?)
            }
            None => None,
        };
        let crowd = Crowd {
            counters: market.counters(),
            tokens: market.buyers(count(WARMING)..count(WARMING.saturating_add(options.buyers))),
            items,
            connections: self.connections,
            name: format!("{}-{number}", self.name),
        };
        let pressed = crowd.press(market.processes()).await?;
        let stock = match of_its_own {
            Some(item) => Some(market.stock(&item, pressed.counts.accepted).await?),
            None => None,
        };
        Ok(Round { pressed, floor, stock })
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Round {
    fn per_second(&self) -> f64 {
        self.pressed.summary.per_second
    }
}

impl Tried {
    /// Returns all rounds.
    pub(crate) fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// Returns the round of median speed.
    pub(crate) fn middle(&self) -> Option<&Round> {
        self.rounds.get(self.rounds.len().saturating_sub(1).div_euclid(2))
    }

    /// Returns the decisions per second in the median round.
    pub(crate) fn per_second(&self) -> f64 {
        self.middle().map_or(0.0, Round::per_second)
    }

    /// Returns the median floor per second.
    pub(crate) fn floor(&self) -> Option<f64> {
        let mut floors: Vec<f64> =
            self.rounds.iter().filter_map(|round| Some(round.floor?.per_second)).collect();
        floors.sort_by(f64::total_cmp);
        floors.get(floors.len().saturating_sub(1).div_euclid(2)).copied()
    }

    /// Returns the median rate as a multiple of the floor.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.floor().map(|floor| self.per_second() / floor)
    }

    /// Renders the results as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Some(Round { pressed, .. }) = self.middle() else { return Vec::new() };
        let (summary, counts) = (pressed.summary, &pressed.counts);
        let floor = match (self.floor(), self.ratio()) {
            (Some(floor), Some(ratio)) => format!("   floor {floor:>6.0}/s, times {ratio:.2}"),
            _ => String::new(),
        };
        let title = &self.title;
        let mut lines = vec![format!(
            "  {title:<22}{:>7.0}/s   p50 {:>7.1} ms   p99 {:>7.1} ms{floor}",
            summary.per_second,
            millis(summary.median),
            millis(summary.p99),
        )];
        let rates: Vec<String> =
            self.rounds.iter().map(|round| format!("{:.0}", round.per_second())).collect();
        lines.push(format!("      rounds {}/s; {}", rates.join(", "), pressed.shares.text()));
        lines.push(format!(
            "      accepted {}, sold out {}, refused otherwise {}, BUSY responses {}",
            counts.accepted, counts.sold_out, counts.refused, counts.busy
        ));
        lines.extend(counts.refusal.as_ref().map(|text| format!("      the first other refusal: {text}")));
        lines
    }

    /// Renders the results as JSON.
    pub(crate) fn json(&self) -> Value {
        let rounds: Vec<Value> = self.rounds.iter().map(Round::json).collect();
        let (rate, floor, ratio) = (self.per_second(), self.floor(), self.ratio());
        json!({
            "title": self.title, "perSecond": rate, "floorPerSecond": floor, "ratio": ratio,
            "rounds": rounds,
        })
    }
}

impl Round {
    fn json(&self) -> Value {
        let Pressed { summary, counts, shares } = &self.pressed;
        json!({
            "perSecond": summary.per_second, "p50Ms": millis(summary.median), "p99Ms": millis(summary.p99),
            "accepted": counts.accepted, "soldOut": counts.sold_out, "refused": counts.refused,
            "busy": counts.busy,
            "floorPerSecond": self.floor.map(|floor| floor.per_second), "processors": shares.json(),
            "stock": self.stock.map(|stock| json!({ "taken": stock.taken, "free": stock.free })),
        })
    }
}

/// Returns a time in milliseconds for display.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
