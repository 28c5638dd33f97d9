//! The command line: what can be said, and what is done for it.

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

/// What is left of the runtime's threads after a stop gets so long to end.
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

/// Options of every command.
#[derive(Debug, Args)]
struct Everywhere {
    /// A configuration file (TOML); SMALLRUN_CONFIG names one too.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder for the database, letters and secrets [default: ./data].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API, with the workers inside.
    ///
    /// Makes the data folder and brings the database up to date first. Stops on SIGTERM or Ctrl-C, after what
    /// is in flight has ended.
    #[command(after_help = EXIT_CODES)]
    Serve(serve::Arguments),
    /// Do background work alone, beside any number of servers and other workers.
    ///
    /// Needs RabbitMQ and a database that is up to date. Stops on SIGTERM or Ctrl-C: what is in hand may end,
    /// or goes to another worker.
    #[command(after_help = EXIT_CODES)]
    Work(work::Arguments),
    /// Bring the database up to date, or show how it stands.
    #[command(after_help = EXIT_CODES)]
    Migrate(migrate::Arguments),
    /// Load the demo marketplace, or make buyers for load tests.
    ///
    /// Runs beside a running `serve`. Loads nothing twice.
    #[command(after_help = EXIT_CODES)]
    Demo(demo::Arguments),
    /// Make an administrator.
    #[command(after_help = EXIT_CODES)]
    Admin(admin::Arguments),
    /// Verify the audit log.
    #[command(after_help = EXIT_CODES)]
    Audit(audit::Arguments),
    /// Print the GraphQL schema (SDL).
    Schema,
    /// List the fault points of a build for tests.
    ///
    /// A fault point is a place after a step of what must survive a failure.
    /// SMALLRUN_FAULT=POINT=ACTION[,POINT=ACTION…] arms them: `abort` ends the process there, `error` fails
    /// the step, `stall:5s` (or `stall:250ms`) makes it wait. Each fault happens once in a process, at the
    /// first pass through its point; several of one point happen at its first passes, in their order. So what
    /// is tried again goes through.
    #[command(after_help = EXIT_CODES)]
    Faults,
    /// Print the effective configuration: secrets masked, with where each value came from.
    ///
    /// Settings come from the file that --config or SMALLRUN_CONFIG names, then from variables (SMALLRUN_ and
    /// the setting's name in capitals), then from the command line; the later wins.
    #[command(after_help = EXIT_CODES)]
    Config(config::Arguments),
}

/// Does what the command line says.
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
            format_args!("could not start the runtime: {cause}"),
            "Check the limits on threads",
        )
    })?;
    let outcome = runtime.block_on(command(config));
    runtime.shutdown_timeout(LAST_WORK);
    outcome
}
