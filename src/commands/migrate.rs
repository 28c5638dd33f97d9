//! `smallrun migrate`: applies the database migrations or lists them.

use crate::{
    config::Config,
    data_folder::DataFolder,
    database::{self, MigrationStatus},
    exit::Outcome,
    terminal,
};

/// The arguments of `smallrun migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Apply the pending migrations.
    Up,
    /// List the applied and pending migrations; changes nothing.
    Status,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Outcome {
    match arguments.what {
        Subcommand::Up => {
            DataFolder::open(&config.data)?;
            let (db, applied) = database::migrate(config).await?;
            database::close(db).await;
            if applied == 0 {
                terminal::answer("The database is up to date.\n");
            }
        }
        Subcommand::Status => {
            let MigrationStatus { applied, pending } = database::status(config).await?;
            let applied = applied.iter().map(|name| format!("applied  {name}\n"));
            let pending = pending.iter().map(|name| format!("pending  {name}\n"));
            terminal::answer(&applied.chain(pending).collect::<String>());
        }
    }
    Ok(())
}
