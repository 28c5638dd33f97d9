//! `smallrun migrate`: applies the database migrations or lists them.

use crate::{
    config::Config,
    data_folder::DataFolder,
    database::{self, Schema},
    exit::Outcome,
    terminal,
};

/// The arguments of `smallrun migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Apply the pending migrations.
    Up,
    /// List the applied and pending migrations; changes nothing.
    Status,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Outcome {
    match arguments.what {
        What::Up => {
            DataFolder::open(&config.data)?;
            let (db, applied) = database::migrate(config).await?;
            database::close(db).await;
            if applied == 0 {
                terminal::answer("The database is up to date.\n");
            }
        }
        What::Status => {
            let Schema { applied, pending } = database::status(config).await?;
            let applied = applied.iter().map(|name| format!("applied  {name}\n"));
            let pending = pending.iter().map(|name| format!("pending  {name}\n"));
            terminal::answer(&applied.chain(pending).collect::<String>());
        }
    }
    Ok(())
}
