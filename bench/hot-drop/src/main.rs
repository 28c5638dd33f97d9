//! Measures the hot drop over HTTP, end to end, on the real binary: thousands of buyers reserve at the same
//! time, and each must get a quick and correct result. The floor is one raw transaction per request, measured
//! in the same run on the same database.
//!
//! Run it with `cargo run --profile dist -p bench-hot-drop`, or with PostgreSQL and RabbitMQ with
//! `scripts/with-servers --durable cargo run --profile dist -p bench-hot-drop`.
//!
//! Scenarios:
//!
//! - [`accepted`]: as many units as buyers.
//! - [`scarce`]: far fewer units than buyers.
//! - [`spread`]: a thousand drops at once.
//! - [`opening`]: a burst, and ten times the sustainable load.
//!
//! Other modules:
//!
//! - [`market`]: the deployment.
//! - [`crowd`]: the buyers, in a closed loop.
//! - [`rounds`]: repetitions next to a floor.
//! - [`mod@line`] and [`said`]: a connection, and the classification of responses.
//! - [`processor`]: the use of the processors.
//! - [`report`]: the results.

mod accepted;
mod combining;
mod crowd;
mod line;
mod market;
mod opening;
mod options;
mod processor;
mod report;
mod rounds;
mod said;
mod scarce;
mod spread;

use std::process::ExitCode;

use bench::{
    Outcome, Trouble, stopped,
    store::{DATABASE_URL, Store},
};
use clap::Parser as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use testkit::TestBroker;

use crate::{
    market::Market,
    options::{Options, Scenario},
    report::Report,
    rounds::WARMING,
};

/// Set by `scripts/with-servers`.
const POSTGRES_VARIABLE: &str = "SMALLRUN_TEST_POSTGRES_URL";
const BROKER_VARIABLES: [&str; 2] = ["SMALLRUN_TEST_RABBITMQ_URL", "SMALLRUN_TEST_RABBITMQ_MANAGEMENT_URL"];

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Before any database connection: the crypto provider is a choice of the program.
    let _installed_once = rustls::crypto::ring::default_provider().install_default();
    match run(&options).await {
        Ok(report) => {
            print!("{}", if options.json { report.json() } else { report.table() });
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(trouble) => {
            eprintln!("error: {trouble}.");
            ExitCode::FAILURE
        }
    }
}

/// Sets up, measures, and cleans up, also after Ctrl-C.
async fn run(options: &Options) -> Outcome<Report> {
    if cfg!(debug_assertions) && !options.debug {
        return Err(Trouble::new(
            "a debug build gives meaningless results; run `cargo run --profile dist -p bench-hot-drop`, \
             or use --debug to try it out",
        ));
    }
    allow_many_files()?;
    let store = Store::make("hot-drop", &[DATABASE_URL, POSTGRES_VARIABLE]).await?;
    // A broker is used only with PostgreSQL.
    let broker = store.database_url().is_some()
        && BROKER_VARIABLES.iter().all(|name| std::env::var_os(name).is_some());
    let broker = if broker { Some(TestBroker::new().await) } else { None };
    let outcome = tokio::select! {
        outcome = measure(options, &store, broker.as_ref()) => outcome,
        () = stopped() => Err(Trouble::new("stopped")),
    };
    store.remove().await;
    outcome
}

/// Raises the limit of open files to its maximum. The usual limit is 1,024, and each connection takes one.
fn allow_many_files() -> Outcome<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(Trouble::doing("raise the limit of open files"))
}

async fn measure(options: &Options, store: &Store, broker: Option<&TestBroker>) -> Outcome<Report> {
    let pressing = options.buyers.saturating_add(WARMING);
    let buyers =
        if options.wants(Scenario::Opening) { options.opening_buyers.max(pressing) } else { pressing };
    let mut market = Market::open(options.smallrun.as_deref(), store, broker, buyers).await?;
    let (mut sections, mut hot) = (Vec::new(), None);
    for scenario in Scenario::ALL.into_iter().filter(|scenario| options.wants(*scenario)) {
        let section = match scenario {
            Scenario::Accepted => accepted::run(&mut market, options, store).await.map(|(section, rate)| {
                hot = Some(rate);
                section
            }),
            Scenario::Scarce => scarce::run(&mut market, options, store).await,
            Scenario::Spread => spread::run(&mut market, options, store, hot).await,
            Scenario::Opening => opening::run(&mut market, options).await,
        };
        sections.push((scenario, section));
    }
    Ok(Report { database: store.kind(), broker: broker.is_some(), sections })
}
