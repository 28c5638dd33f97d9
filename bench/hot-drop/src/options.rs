//! What can be said on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, value_parser};

/// Measure what happens when a drop opens: how fast thousands of buyers are decided over HTTP, how right the
/// outcome is, and what becomes of ten times the load that can be served, beside floors measured in the same
/// run.
///
/// Builds `smallrun` in release, starts it with the demo marketplace in a temporary folder, measures, and
/// takes all of it away. Uses SQLite; with SMALLRUN_DATABASE_URL or SMALLRUN_TEST_POSTGRES_URL two databases
/// are made on that PostgreSQL, with SMALLRUN_TEST_RABBITMQ_URL and its management API a virtual host
/// besides, as `scripts/with-servers --durable` sets them; three processes are measured there only.
#[derive(Debug, Parser)]
#[command(name = "bench-hot-drop", version)]
pub(crate) struct Options {
    /// Measure only this; may be said more than once.
    #[arg(long, value_name = "WHAT")]
    pub(crate) only: Vec<Scenario>,
    /// How many press, each once.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u32).range(1..=50_000))]
    pub(crate) buyers: u32,
    /// How many units there are for them when there are too few.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = value_parser!(u32).range(1..=50_000))]
    pub(crate) units: u32,
    /// How many drops there are when there are many.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) drops: u32,
    /// How many connections send requests, each one after the other; with too few units also eight times as
    /// many.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) connections: u32,
    /// How often each crowd presses; the middle one is told.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=20))]
    pub(crate) rounds: u32,
    /// How long each floor is measured, in seconds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=60))]
    floor_seconds: u32,
    /// How many requests come within one second at the opening.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) burst: u32,
    /// How long the overload lasts, in seconds.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// How many times the load that can be served.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=100))]
    pub(crate) times: u32,
    /// How many buyers there are at the opening; each holds at most three reservations of a drop.
    #[arg(long, value_name = "N", default_value_t = 60_000, value_parser = value_parser!(u32).range(1_000..=100_000))]
    pub(crate) opening_buyers: u32,
    /// The most connections at the opening.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..=5_000))]
    pub(crate) sockets: u32,
    /// Answer as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Measure this program instead of building one.
    #[arg(long, value_name = "FILE")]
    pub(crate) smallrun: Option<PathBuf>,
    /// Run although this is a debug build, whose numbers mean nothing.
    #[arg(long, hide = true)]
    pub(crate) debug: bool,
}

impl Options {
    /// Whether that is asked for.
    pub(crate) fn wants(&self, scenario: Scenario) -> bool {
        self.only.is_empty() || self.only.contains(&scenario)
    }

    /// How long each floor is measured.
    pub(crate) fn floor_time(&self) -> Duration {
        Duration::from_secs(self.floor_seconds.into())
    }

    /// How long the overload lasts.
    pub(crate) fn overload_time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// As many units as buyers, by one process and by three.
    Accepted,
    /// Far fewer units than buyers.
    Scarce,
    /// A thousand drops at once.
    Spread,
    /// A burst, and ten times the load that can be served.
    Opening,
}

impl Scenario {
    /// In the order of measuring: what leaves most behind comes last.
    pub(crate) const ALL: [Self; 4] = [Self::Accepted, Self::Scarce, Self::Spread, Self::Opening];

    /// As `--only` and the JSON name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scarce => "scarce",
            Self::Spread => "spread",
            Self::Opening => "opening",
        }
    }
}
