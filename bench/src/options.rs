//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, value_parser};

/// Measure Smallrun over HTTP against floors of the same run: a page of drops, the page by its hash, a drop
/// by slug, a reservation, and the page while thousands of holds expire.
///
/// Builds `smallrun` in the profile `dist`, which images use, starts it with the demo marketplace in a
/// temporary folder on a free port, measures, and removes everything again. Uses SQLite. With
/// SMALLRUN_DATABASE_URL=postgres://… it uses two new databases on that server and drops them at the end; the
/// role must be allowed to create databases.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    /// Duration of each measurement in seconds.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// Number of connections, each of which sends one request after the other.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) connections: u32,
    /// Number of buyers that take turns in reserving.
    #[arg(long, value_name = "N", default_value_t = 5_000,
          value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) buyers: u32,
    /// Number of holds that expire at the same time.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) timers: u32,
    /// Measure only this; can be repeated.
    #[arg(long, value_name = "WHAT")]
    pub(crate) only: Vec<Subject>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Measure this program instead of building one.
    #[arg(long, value_name = "FILE")]
    pub(crate) smallrun: Option<PathBuf>,
    /// Run although this is a debug build, whose results are meaningless.
    #[arg(long, hide = true)]
    pub(crate) debug: bool,
}

impl Options {
    /// Returns the duration of a measurement.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }

    /// Returns the duration of the warm-up, which is not counted.
    pub(crate) fn warm_up(&self) -> Duration {
        self.time() / 4
    }
}

/// A measured subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// A page of 24 drops with creator, items, variants, prices and stock.
    Page,
    /// The page by GET and its hash, as caches request it.
    Hash,
    /// One drop by its slug.
    Slug,
    /// `checkoutReserve` of one unit of one drop.
    Reserve,
    /// The page while thousands of holds expire at the same time.
    Timers,
}

impl Subject {
    /// All subjects in the order of measurement: those that cause background work come last.
    pub(crate) const ALL: [Self; 5] = [Self::Page, Self::Hash, Self::Slug, Self::Reserve, Self::Timers];

    /// Returns the name in `--only` and in the JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Hash => "hash",
            Self::Slug => "slug",
            Self::Reserve => "reserve",
            Self::Timers => "timers",
        }
    }

    /// Returns the title in the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Page => "a page of 24 drops",
            Self::Hash => "the page by its hash",
            Self::Slug => "a drop by slug",
            Self::Reserve => "a reservation",
            Self::Timers => "a page, timers due",
        }
    }

    /// Returns the description of the floor.
    pub(crate) fn floor_title(self) -> &'static str {
        match self {
            Self::Page | Self::Hash | Self::Slug => "a bare server answering the same bytes",
            Self::Reserve => "a raw transaction: lock, update, insert, commit",
            Self::Timers => "the same page before they came due",
        }
    }
}
