//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, value_parser};

/// Measure the opening of a drop over HTTP: how fast thousands of buyers get a decision, whether the result
/// is correct, and how the server behaves at ten times the sustainable load. The same run measures floors:
/// the rate of raw transactions on the same database.
///
/// Builds `smallrun` in the profile `dist`, which images use, starts it with the demo marketplace in a
/// temporary folder, measures, and removes everything again. Uses SQLite. With SMALLRUN_DATABASE_URL or
/// SMALLRUN_TEST_POSTGRES_URL it uses two new databases on that PostgreSQL server; with
/// SMALLRUN_TEST_RABBITMQ_URL and SMALLRUN_TEST_RABBITMQ_MANAGEMENT_URL it also uses a new virtual host.
/// `scripts/with-servers --durable` sets these variables. Three processes are measured only with PostgreSQL
/// and RabbitMQ.
#[derive(Debug, Parser)]
#[command(name = "bench-hot-drop", version)]
pub(crate) struct Options {
    /// Measure only this scenario; can be repeated.
    #[arg(long, value_name = "WHAT")]
    pub(crate) only: Vec<Scenario>,
    /// Number of buyers, each of whom reserves once.
    #[arg(long, value_name = "N", default_value_t = 5_000,
          value_parser = value_parser!(u32).range(1..=50_000))]
    pub(crate) buyers: u32,
    /// Number of units in the scenario `scarce`, fewer than buyers.
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = value_parser!(u32).range(1..=50_000))]
    pub(crate) units: u32,
    /// Number of drops in the scenario `spread`.
    #[arg(long, value_name = "N", default_value_t = 1_000,
          value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) drops: u32,
    /// Number of connections, each of which sends one request after the other. The scenario `scarce` is also
    /// measured with eight times as many.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) connections: u32,
    /// Number of rounds of each measurement; the median is reported.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=20))]
    pub(crate) rounds: u32,
    /// Duration of each floor's measurement in seconds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u32).range(1..=60))]
    floor_seconds: u32,
    /// Number of requests in the burst of the scenario `opening`, which takes one second.
    #[arg(long, value_name = "N", default_value_t = 5_000,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) burst: u32,
    /// Duration of the overload in the scenario `opening`, in seconds.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// The overload, as a multiple of the sustainable load.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=100))]
    pub(crate) times: u32,
    /// Number of buyers in the scenario `opening`; each holds at most three reservations of a drop.
    #[arg(long, value_name = "N", default_value_t = 60_000,
          value_parser = value_parser!(u32).range(1_000..=100_000))]
    pub(crate) opening_buyers: u32,
    /// Maximum number of connections in the scenario `opening`.
    #[arg(long, value_name = "N", default_value_t = 1_000,
          value_parser = value_parser!(u32).range(1..=5_000))]
    pub(crate) sockets: u32,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Measure this `smallrun` program instead of building one.
    #[arg(long, value_name = "FILE")]
    pub(crate) smallrun: Option<PathBuf>,
    /// Run although this is a debug build, whose results are meaningless.
    #[arg(long, hide = true)]
    pub(crate) debug: bool,
}

impl Options {
    /// Returns whether a scenario is to be measured.
    pub(crate) fn wants(&self, scenario: Scenario) -> bool {
        self.only.is_empty() || self.only.contains(&scenario)
    }

    /// Returns the duration of each floor's measurement.
    pub(crate) fn floor_time(&self) -> Duration {
        Duration::from_secs(self.floor_seconds.into())
    }

    /// Returns the duration of the overload.
    pub(crate) fn overload_time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

/// A scenario that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// As many units as buyers, with one process and with three.
    Accepted,
    /// Far fewer units than buyers.
    Scarce,
    /// Many drops at once, a thousand by default.
    Spread,
    /// A burst, and an overload, by default ten times the sustainable load.
    Opening,
}

impl Scenario {
    /// All scenarios in the order of measurement: those that cause most background work come last.
    pub(crate) const ALL: [Self; 4] = [Self::Accepted, Self::Scarce, Self::Spread, Self::Opening];

    /// Returns the name in `--only` and in the JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Scarce => "scarce",
            Self::Spread => "spread",
            Self::Opening => "opening",
        }
    }
}
