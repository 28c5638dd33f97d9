//! `smallrun demo`: loads the demo marketplace without a server, creates buyers for load tests, and sets the
//! demo's clock forward.

use chrono::TimeDelta;
use domain::platform::{
    OpError,
    access::SystemScope,
    demo_clock::{self, TravelRefusal},
};

use crate::{
    config::Config,
    data_folder::DataFolder,
    database, demo,
    exit::{Exit, Failure, Outcome},
    terminal,
};

/// The arguments of `smallrun demo`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// Create this many signed-in buyers instead, and write their tokens to DATA/demo-buyers.json.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    buyers: Option<u32>,
    #[command(subcommand)]
    what: Option<Subcommand>,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Set the demo's clock forward, including the clock of its payment gateway.
    ///
    /// Reservation windows open and close, holds lapse, late payments settle, and e-mails are sent, as if the
    /// time had passed. Running servers follow within a second. Only a demo's clock can be set, and only
    /// forward; it keeps running from the new time.
    #[command(after_help = crate::exit::EXIT_CODES)]
    Travel {
        /// How far to set the clock forward, in days, hours, minutes and seconds: 2d, 36h, 90m or 1d12h.
        #[arg(value_name = "TIME", value_parser = span)]
        by: TimeDelta,
    },
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Outcome {
    match (&arguments.what, arguments.buyers) {
        (Some(Subcommand::Travel { by }), _) => travel(config, *by).await,
        (None, Some(count)) => {
            let folder = DataFolder::open(&config.data)?;
            let db = database::open_current(config).await?;
            let path = demo::buyers(&db, &folder, count).await?;
            database::close(db).await;
            terminal::answer(&format!("Created {count} buyers; their tokens are in {}\n", path.display()));
            Ok(())
        }
        (None, None) => {
            let folder = DataFolder::open(&config.data)?;
            let (db, _applied) = database::migrate(config).await?;
            let _added = demo::load(&db).await?;
            let (_tokens, file) = demo::tokens(&db, &folder).await?;
            database::close(db).await;
            terminal::answer(&demo::introduction(config.public_url.as_str(), &file));
            Ok(())
        }
    }
}

async fn travel(config: &Config, by: TimeDelta) -> Outcome {
    let db = database::open_current(config).await?;
    let arrived = demo_clock::travel(&db, &SystemScope::new("demo-travel"), by).await;
    database::close(db).await;
    let now = arrived.map_err(|error| match error {
        OpError::Refused(why) => {
            let code = why.first().map_or(TravelRefusal::NoDemo, |refused| refused.code);
            let todo = match code {
                TravelRefusal::NoDemo => {
                    "Create a demo with its own data folder and database: `smallrun serve --demo`"
                }
                TravelRefusal::NotForward | TravelRefusal::TooFar => {
                    "Give a time span such as 2d, 36h, 90m or 1d12h"
                }
            };
            Failure::new(Exit::Failed, format_args!("the clock was not set: {code}"), todo)
        }
        OpError::Db(error) => database::failure(config, "set the clock", &error),
        error @ (OpError::Busy(_) | OpError::Inconsistent(_)) => Failure::unexpected("set the clock", &error),
    })?;
    terminal::answer(&format!("The demo's clock now shows {}.\n", now.format("%A, %Y-%m-%d %H:%M:%S UTC")));
    Ok(())
}

/// Parses a time span such as `1d12h`.
fn span(text: &str) -> Result<TimeDelta, String> {
    let bad = || "expected a time span above zero, such as 2d, 36h, 90m or 1d12h".to_owned();
    let (mut rest, mut total) = (text, TimeDelta::zero());
    while !rest.is_empty() {
        let unit = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(bad)?;
        let (count, after) = rest.split_at(unit);
        let count: i64 = count.parse().map_err(|_| bad())?;
        let mut letters = after.chars();
        let part = match letters.next() {
            Some('d') => TimeDelta::try_days(count),
            Some('h') => TimeDelta::try_hours(count),
            Some('m') => TimeDelta::try_minutes(count),
            Some('s') => TimeDelta::try_seconds(count),
            Some(_) | None => None,
        };
        total = part.and_then(|part| total.checked_add(&part)).ok_or_else(bad)?;
        rest = letters.as_str();
    }
    if total > TimeDelta::zero() { Ok(total) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_days_hours_minutes_and_seconds() {
        for (text, secs) in
            [("2d", 172_800), ("36h", 129_600), ("90m", 5_400), ("1d12h", 129_600), ("1h1s", 3_601)]
        {
            assert_eq!(span(text), Ok(TimeDelta::seconds(secs)), "{text}");
        }
        for bad in [
            "",
            "0d",
            "2",
            "d",
            "-2d",
            "2w",
            "1.5h",
            "2d-1h",
            "99999999999999999999d",
            "9999999999999999d",
            "2 d",
        ] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
