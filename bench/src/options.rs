//! What can be said on the command line.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum, value_parser};

/// Measure a page of drops, also by its hash, a drop by slug, a reservation, and the page while thousands of
/// holds run out, over HTTP, against floors measured in the same run.
///
/// Builds `smallrun` in release, starts it with the demo marketplace in a temporary folder on a free port,
/// measures, and takes all of it away. Uses SQLite; with SMALLRUN_DATABASE_URL=postgres://… two databases are
/// made on that server, and dropped at the end (the role must be allowed to create databases).
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    /// How long each measurement takes, in seconds.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = value_parser!(u32).range(1..=60))]
    seconds: u32,
    /// How many connections send requests, each one after the other.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) connections: u32,
    /// How many buyers take turns in reserving.
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub(crate) buyers: u32,
    /// How many holds run out at once.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub(crate) timers: u32,
    /// Measure only this; may be said more than once.
    #[arg(long, value_name = "WHAT")]
    pub(crate) only: Vec<Subject>,
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
    /// The measured time.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }

    /// What comes before it and is not counted.
    pub(crate) fn warm_up(&self) -> Duration {
        self.time() / 4
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// A page of 24 drops with creator, items, variants, prices and stock.
    Page,
    /// The same by GET and its hash, as caches between ask for it.
    Hash,
    /// One drop by its slug.
    Slug,
    /// `checkoutReserve` of one unit of one drop.
    Reserve,
    /// The page while thousands of holds run out at once.
    Timers,
}

impl Subject {
    /// In the order of measuring: what leaves work behind comes last.
    pub(crate) const ALL: [Self; 5] = [Self::Page, Self::Hash, Self::Slug, Self::Reserve, Self::Timers];

    /// As `--only` and the JSON name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Hash => "hash",
            Self::Slug => "slug",
            Self::Reserve => "reserve",
            Self::Timers => "timers",
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Page => "a page of 24 drops",
            Self::Hash => "the page by its hash",
            Self::Slug => "a drop by slug",
            Self::Reserve => "a reservation",
            Self::Timers => "a page, timers due",
        }
    }

    /// What it is compared with.
    pub(crate) fn floor_title(self) -> &'static str {
        match self {
            Self::Page | Self::Hash | Self::Slug => "a bare server answering the same bytes",
            Self::Reserve => "a raw transaction: lock, update, insert, commit",
            Self::Timers => "the same page before they came due",
        }
    }
}
