//! The command line: the commands with their options, and what each runs.

mod admin;
mod audit;
mod config;
mod demo;
mod faults;
mod migrate;
mod schema;
mod serve;
mod work;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{Config, Flags, load},
    exit::{EXIT_CODES, Exit, Failure, Outcome},
    telemetry,
};

/// How long the runtime waits for its remaining threads when the program ends.
const LAST_WORK: Duration = Duration::from_millis(500);

/// A backend for marketplaces where creators sell small runs before they make them.
#[derive(Debug, Parser)]
#[command(name = "smallrun", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct CommandLine {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Command,
}

/// The options that every command has.
#[derive(Debug, Args)]
struct Everywhere {
    /// The configuration file (TOML); can also be set with SMALLRUN_CONFIG.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for the database, e-mails, media and secrets [default: ./data].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and run the background workers.
    ///
    /// Creates the data folder first. On SQLite also applies pending migrations; on PostgreSQL waits for
    /// `smallrun migrate up`, alive and not ready. Stops on SIGTERM or Ctrl-C, after requests and tasks in
    /// progress have finished.
    #[command(after_help = EXIT_CODES)]
    Serve(serve::Arguments),
    /// Run only the background workers, next to any number of servers and other workers.
    ///
    /// Needs RabbitMQ. Waits for `smallrun migrate up` if migrations are pending. Stops on SIGTERM or Ctrl-C,
    /// after tasks in progress have finished; tasks that do not finish in time are passed on to another
    /// worker.
    #[command(after_help = EXIT_CODES)]
    Work(work::Arguments),
    /// Apply the database migrations, or show which are applied.
    #[command(after_help = EXIT_CODES)]
    Migrate(migrate::Arguments),
    /// Load the demo marketplace, create buyers for load tests, or set the demo's clock forward.
    ///
    /// Can run next to a running `serve`. Loads nothing twice.
    #[command(after_help = EXIT_CODES)]
    Demo(demo::Arguments),
    /// Manage the administrators of the marketplace.
    #[command(after_help = EXIT_CODES)]
    Admin(admin::Arguments),
    /// Verify the audit log.
    #[command(after_help = EXIT_CODES)]
    Audit(audit::Arguments),
    /// Print the GraphQL schema (SDL).
    Schema,
    /// List the fault points (test builds only).
    ///
    /// A fault point follows a step of an operation that must survive a failure. The variable
    /// SMALLRUN_FAULT=POINT=ACTION[,POINT=ACTION…] arms fault points. The action `abort` ends the process,
    /// `error` fails the step, and `stall:5s` (or `stall:250ms`) makes it wait. Each fault happens once per
    /// process, the first time its point is reached. Several faults of the same point happen one per pass, in
    /// the order given. A retry therefore succeeds.
    #[command(after_help = EXIT_CODES)]
    Faults,
    /// Print the effective configuration, with the source of each value and with secrets masked.
    ///
    /// Settings are read from the file named by --config or SMALLRUN_CONFIG, then from environment variables
    /// (SMALLRUN_ and the setting's name in capitals), then from the command line. Later sources override
    /// earlier ones.
    #[command(after_help = EXIT_CODES)]
    Config(config::Arguments),
}

/// Parses the command line, runs the command, and returns the exit code.
pub(crate) fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _nobody_reads = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    match dispatch(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn dispatch(line: CommandLine) -> Outcome {
    let mut flags = Flags { config: line.everywhere.config, data: line.everywhere.data, listen: None };
    match line.command {
        Command::Schema => {
            schema::run();
            Ok(())
        }
        Command::Faults => faults::run(),
        Command::Config(arguments) => {
            flags.listen = arguments.listen;
            config::run(&load(flags)?);
            Ok(())
        }
        Command::Serve(arguments) => {
            flags.listen = arguments.listen.clone();
            with_runtime(flags, async |config| serve::run(config, &arguments).await)
        }
        Command::Work(arguments) => {
            flags.listen = arguments.listen.clone();
            with_runtime(flags, async |config| work::run(config, &arguments).await)
        }
        Command::Migrate(arguments) => {
            with_runtime(flags, async |config| migrate::run(&config, &arguments).await)
        }
        Command::Demo(arguments) => with_runtime(flags, async |config| demo::run(&config, &arguments).await),
        Command::Admin(arguments) => {
            with_runtime(flags, async |config| admin::run(&config, &arguments).await)
        }
        Command::Audit(arguments) => {
            with_runtime(flags, async |config| audit::run(&config, &arguments).await)
        }
    }
}

/// Reads the configuration, starts logging, and runs the command.
fn with_runtime(flags: Flags, command: impl AsyncFnOnce(Config) -> Outcome) -> Outcome {
    let config = load(flags)?;
    telemetry::log(&config)?;
    faults::arm()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|cause| {
        Failure::new(
            Exit::Failed,
            format_args!("could not start the async runtime: {cause}"),
            "Check the limit on the number of threads (`ulimit -u`)",
        )
    })?;
    let outcome = runtime.block_on(command(config));
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}
