//! The opening of a drop: a burst within one second, and then a multiple of the sustainable load for a while.
//! Measures how much is still decided, how much gets `BUSY` and how soon, and how long the server takes to
//! recover.
//!
//! - [`generator`]: sends requests when they are due.
//! - [`phase`]: records the responses.
//! - [`buyers`]: the buyers.

mod buyers;
mod generator;
mod phase;

use std::{sync::Arc, time::Duration};

use bench::{Outcome, Trouble, drops::UNITS_MAX, load::rank, progress};
use serde_json::{Value, json};

use self::{
    buyers::Buyers,
    generator::{Generator, Load, PAGE_EVERY},
    phase::{Phase, Wish},
};
use crate::{
    market::Market,
    options::Options,
    processor::{Shares, Watch},
    report::{Goal, Section},
    rounds::millis,
    said::Said,
};

/// The levels of the search for the peak: the first rate in requests per second, the duration of each level,
/// and the factor to the next one.
const LEVEL_FIRST: u32 = 200;
const LEVEL_TIME: Duration = Duration::from_secs(2);
const LEVEL_STEP: (u32, u32) = (8, 5);
/// Lower and higher than the peak of any machine.
const LEVEL_MIN: u32 = 5;
const LEVEL_MAX: u32 = 100_000;
/// When a smaller part of the requests than this is decided, the peak has been passed.
const SERVED_MIN: f64 = 0.6;

/// The rate of single requests that show whether the server has recovered.
const PROBES_PER_SECOND: u32 = 20;
/// The number of buyers reserved for these requests.
const PROBING: usize = 500;
const CALM_TIME: Duration = Duration::from_secs(3);
const RECOVERY_TIME: Duration = Duration::from_secs(10);
/// The number of served requests in a row, half a second of them, that count as recovery.
const IN_A_ROW: usize = 10;
/// Random latency reaches this now and then.
const USUAL_MIN: Duration = Duration::from_millis(20);

const BURST_TIME: Duration = Duration::from_secs(1);

/// The goals of an overload: this part of the peak is still decided, and `BUSY` is returned quickly.
const GOODPUT_MIN: f64 = 0.9;
const BUSY_P99_MAX_MS: f64 = 100.0;

/// A drop with units for everybody, and its buyers.
struct HotDrop {
    item: Arc<str>,
    crowd: Arc<Buyers>,
    probing: Arc<Buyers>,
}

/// The results of a load and of the recovery from it.
struct Stormed {
    phase: Arc<Phase>,
    shares: Shares,
    /// The time until recovery, or `None` if the server did not recover.
    recovered: Option<Duration>,
}

/// Runs the measurement.
pub(crate) async fn run(market: &mut Market<'_>, options: &Options) -> Outcome<Section> {
    let (address, form) =
        market.counters().into_iter().next().ok_or_else(|| Trouble::new("no server runs"))?;
    let mut generator = Generator::new(address, form, options.sockets);
    let (peak, levels) = peak(market, &mut generator).await?;
    let mut lines = vec![format!("  {:<22}{peak:>7.0} decided/s; levels: {}", "peak", levels.join(", "))];
    market.rest().await?;

    progress("Measuring a burst");
    let burst_drop = open(market).await?;
    let usual = usual(&mut generator, &burst_drop).await?;
    lines.push(format!("  {:<22}{PROBES_PER_SECOND}/s, each within {:.1} ms", "as usual", millis(usual)));
    let burst = storm(market, &mut generator, &burst_drop, (options.burst, BURST_TIME), usual).await?;
    lines.extend(burst.lines(&format!("{} within 1 s", options.burst)));
    market.rest().await?;

    let rate = overload_rate(peak, options.times);
    progress(format_args!("Measuring {rate} requests a second for {} s", options.overload_time().as_secs()));
    let long_drop = open(market).await?;
    let overload = storm(market, &mut generator, &long_drop, (rate, options.overload_time()), usual).await?;
    lines.extend(overload.lines(&format!("{} times the peak", options.times)));

    let share = overload.phase.goodput() / peak;
    let goals = goals(&burst, &overload, share);
    let json = json!({
        "peakPerSecond": peak, "levels": levels, "usualMs": millis(usual), "burst": burst.json(),
        "overload": overload.json(),
        "overloadRate": rate, "ofPeak": share, "connections": generator.connections(),
    });
    let title = format!(
        "an open loop over up to {} connections; one request in {PAGE_EVERY} wants the page, the others a \
         unit; latencies are measured from when a request was due",
        options.sockets
    );
    Ok(Section { title, lines, goals, json })
}

fn goals(burst: &Stormed, overload: &Stormed, share: f64) -> Vec<Goal> {
    let mut goals = vec![Goal::speed(
        share >= GOODPUT_MIN,
        format!("{GOODPUT_MIN} of the peak or more is decided in the overload: {share:.2}"),
    )];
    for (what, stormed) in [("burst", burst), ("overload", overload)] {
        let mut busy = stormed.phase.latencies(Wish::Unit, |said| matches!(said, Said::Busy(_)));
        busy.extend(stormed.phase.latencies(Wish::Page, |said| matches!(said, Said::Busy(_))));
        busy.sort_unstable();
        if let Some(p99) = rank(&busy, 99).map(millis) {
            goals.push(Goal::speed(
                p99 < BUSY_P99_MAX_MS,
                format!("BUSY in the {what} within {BUSY_P99_MAX_MS} ms: p99 {p99:.1} ms"),
            ));
        }
        let (unit, page) = (stormed.phase.counts(Wish::Unit), stormed.phase.counts(Wish::Page));
        let failed = unit.failed().saturating_add(page.failed());
        goals.push(Goal::speed(
            failed == 0,
            format!("every request of the {what} gets a result or BUSY: {failed} did not"),
        ));
        let (page, unit) = (page.busy_share() * 100.0, unit.busy_share() * 100.0);
        // If nothing is shed, there is no order of shedding.
        if !busy.is_empty() {
            let text =
                format!("pages are shed before reservations in the {what}: {page:.0} % and {unit:.0} % BUSY");
            goals.push(Goal::speed(page >= unit, text));
        }
    }
    goals
}

/// Returns the requests per second at which the requests for units alone are `times` the peak.
fn overload_rate(peak: f64, times: u32) -> u32 {
    let rate = format!("{:.0}", peak * f64::from(times) / units_part());
    rate.parse().unwrap_or(LEVEL_MAX).clamp(1, LEVEL_MAX)
}

/// Creates a drop with units for everybody. All buyers are new to it.
async fn open(market: &mut Market<'_>) -> Outcome<HotDrop> {
    let item = market.announce(UNITS_MAX, UNITS_MAX).await?.into();
    let (probing, crowd) = (market.buyers(0..PROBING), market.buyers(PROBING..usize::MAX));
    Ok(HotDrop { item, crowd: Arc::new(Buyers::new(crowd)), probing: Arc::new(Buyers::new(probing)) })
}

/// Finds the maximum number of decisions per second at any rate, by raising the rate until it is no longer
/// served.
async fn peak(market: &mut Market<'_>, generator: &mut Generator) -> Outcome<(f64, Vec<String>)> {
    let HotDrop { item, crowd, .. } = open(market).await?;
    market.rest().await?;
    let (mut rate, mut peak, mut levels, mut climbing) = (LEVEL_FIRST, 0.0_f64, Vec::new(), false);
    while (LEVEL_MIN..LEVEL_MAX).contains(&rate) {
        progress(format_args!("Looking for the peak: {rate} requests a second"));
        let phase =
            generator.send(Load { item: &item, buyers: &crowd, rate, time: LEVEL_TIME, pages: true }).await;
        generator.drain().await?;
        let goodput = phase.goodput();
        levels.push(format!("{rate}: {goodput:.0}"));
        peak = peak.max(goodput);
        let served = goodput >= f64::from(rate) * units_part() * SERVED_MIN;
        if climbing && !served {
            break;
        }
        climbing |= served;
        let (up, down) = if climbing { LEVEL_STEP } else { (1, 4) };
        rate = rate.saturating_mul(up).checked_div(down).unwrap_or(LEVEL_MAX);
    }
    if peak > 0.0 { Ok((peak, levels)) } else { Err(Trouble::new("nothing was decided")) }
}

/// Returns the part of all requests that asks for a unit.
fn units_part() -> f64 {
    1.0 - 1.0 / f64::from(u32::try_from(PAGE_EVERY).unwrap_or(u32::MAX))
}

/// Measures the time within which a single request is usually served.
async fn usual(generator: &mut Generator, drop: &HotDrop) -> Outcome<Duration> {
    let calm = generator.send(drop.probes(CALM_TIME)).await;
    generator.drain().await?;
    let latencies = calm.latencies(Wish::Unit, |said| said == Said::Accepted);
    let p99 = rank(&latencies, 99).ok_or_else(|| Trouble::new("no single request was served"))?;
    Ok(p99.saturating_mul(2).max(USUAL_MIN))
}

impl HotDrop {
    fn probes(&self, time: Duration) -> Load<'_> {
        Load { item: &self.item, buyers: &self.probing, rate: PROBES_PER_SECOND, time, pages: false }
    }
}

/// Sends requests at a rate for some time, and then single requests until the server has recovered.
async fn storm(
    market: &Market<'_>,
    generator: &mut Generator,
    drop: &HotDrop,
    (rate, time): (u32, Duration),
    usual: Duration,
) -> Outcome<Stormed> {
    let watch = Watch::begin(market.processes());
    let phase = generator.send(Load { item: &drop.item, buyers: &drop.crowd, rate, time, pages: true }).await;
    let shares = watch.end();
    let probes = generator.send(drop.probes(RECOVERY_TIME)).await;
    generator.drain().await?;
    Ok(Stormed { phase, shares, recovered: probes.usual_since(usual, IN_A_ROW) })
}

impl Stormed {
    fn lines(&self, title: &str) -> Vec<String> {
        let mut lines = self.phase.lines(title, self.shares);
        lines.push(match self.recovered {
            Some(after) => format!("      recovered after {:.2} s", after.as_secs_f64()),
            None => format!("      not recovered within {} s", RECOVERY_TIME.as_secs()),
        });
        lines
    }

    fn json(&self) -> Value {
        let mut json = self.phase.json(self.shares);
        if let Some(members) = json.as_object_mut() {
            members.insert(
                "recoveredAfterSeconds".to_owned(),
                json!(self.recovered.map(|after| after.as_secs_f64())),
            );
        }
        json
    }
}
