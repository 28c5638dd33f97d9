//! `smallrun demo`: the demo marketplace without a server, and buyers for load tests.

use crate::{config::Config, data_folder::DataFolder, database, demo, exit::Outcome, terminal};

/// What can be said after `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Make that many signed-in buyers instead, and write their tokens to DATA/demo-buyers.json.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    buyers: Option<u32>,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Outcome {
    let folder = DataFolder::open(&config.data)?;
    match arguments.buyers {
        Some(count) => {
            let db = database::open_current(config).await?;
            let path = demo::buyers(&db, &folder, count).await?;
            database::close(db).await;
            terminal::answer(&format!("{count} buyers; their tokens are in {}\n", path.display()));
        }
        None => {
            let (db, _applied) = database::migrate(config).await?;
            let _added = demo::load(&db).await?;
            let (_tokens, file) = demo::tokens(&db, &folder).await?;
            database::close(db).await;
            terminal::answer(&demo::introduction(config.public_url.as_str(), &file));
        }
    }
    Ok(())
}
