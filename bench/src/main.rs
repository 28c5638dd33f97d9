//! Measures a running Smallrun over HTTP like a client, and compares it with floors that are measured in the
//! same run on the same machine: what no server and no database could do faster. The ratios matter; the rates
//! depend on the machine.
//!
//! - [`stage`]: the measured requests.
//! - [`floor_http`]: the floor of a query.
//! - [`mod@timers`]: many timers that come due at once.
//! - [`report`]: the results.
//!
//! The library of this package has what other benchmarks need as well.

mod floor_http;
mod options;
mod report;
mod stage;
mod timers;

use std::process::ExitCode;

use bench::{
    Outcome, Trouble,
    drops::{PAGE, UNITS_MAX},
    floor_sql,
    load::{self, Calls, Plan, Summary},
    progress,
    server::{self, Launch, Server},
    stopped,
    store::{DATABASE_URL, Store},
};
use clap::Parser as _;

use crate::{
    floor_http::BareServer,
    options::{Options, Subject},
    report::{Report, Row},
    stage::Stage,
};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Before any database connection: the crypto provider is a choice of the program.
    let _installed_once = rustls::crypto::ring::default_provider().install_default();
    match run(&options).await {
        Ok(report) => {
            print!("{}", if options.json { report.json() } else { report.table() });
            if report.rows.iter().any(|row| row.measured.is_err()) {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            }
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
            "a debug build gives meaningless results; run `cargo run --profile dist -p bench`, \
             or use --debug to try it out",
        ));
    }
    let store = Store::make("bench", &[DATABASE_URL]).await?;
    let outcome = tokio::select! {
        outcome = measure(options, &store) => outcome,
        () = stopped() => Err(Trouble::new("stopped")),
    };
    store.remove().await;
    outcome
}

async fn measure(options: &Options, store: &Store) -> Outcome<Report> {
    let binary = server::binary(options.smallrun.as_deref()).await?;
    progress(format_args!("Starting {} with the demo marketplace, {}", binary.display(), store.describe()));
    let server = Server::start(&Launch::new(binary, store), &["--demo"], &store.log("server")).await?;
    let wants = |subject| options.only.is_empty() || options.only.contains(&subject);
    // Only these subjects need buyers, and creating them takes a while.
    let reserves = wants(Subject::Reserve) || wants(Subject::Timers);
    let buyers = if reserves { server.make_buyers(options.buyers).await? } else { Vec::new() };
    progress(format_args!("Creating a page of {PAGE} drops, one of them with {UNITS_MAX} units"));
    let stage = Stage::set(&server, buyers).await?;
    let plan = Plan { connections: options.connections, warm_up: options.warm_up(), time: options.time() };
    let mut rows = Vec::new();
    for subject in Subject::ALL.into_iter().filter(|subject| wants(*subject)) {
        progress(format_args!("Measuring {} and its floor, {}", subject.title(), subject.floor_title()));
        rows.push(match subject {
            Subject::Page => read(subject, &stage, Ok(stage.page_request()), plan).await,
            Subject::Hash => read(subject, &stage, stage.hash_request().await, plan).await,
            Subject::Slug => read(subject, &stage, Ok(stage.slug_request()), plan).await,
            Subject::Reserve => reserve(&stage, store, plan).await,
            Subject::Timers => timers(&server, &stage, options.timers, plan).await,
        });
    }
    Ok(Report { database: store.kind(), plan, rows })
}

/// Measures a query with the same request over and over. Its floor is a bare server that sends the same
/// bytes.
async fn read(subject: Subject, stage: &Stage, request: Outcome<Vec<u8>>, plan: Plan) -> Row {
    let measured = async {
        let request = request?;
        let answer = stage.answer_to(&request).await?;
        let bytes = answer.len();
        let bare = BareServer::start(answer).await?;
        let floor = load::run(plan, |_| Calls::repeated(bare.address(), request.clone())).await;
        bare.stop().await;
        let product = load::run(plan, |_| Calls::repeated(stage.address(), request.clone())).await?;
        Ok((product, floor?, Some(bytes)))
    };
    row(subject, measured.await)
}

/// Measures reservations, each with another buyer and a new idempotency key. Their floor is a minimal
/// transaction.
async fn reserve(stage: &Stage, store: &Store, plan: Plan) -> Row {
    let measured = async {
        // The floor is measured first, because the tasks that follow from reservations would disturb it.
        let floor = floor_sql::run(store, plan, 1).await?;
        let product = load::run(plan, |connection| stage.reserving(connection)).await?;
        Ok((product, floor, None))
    };
    row(Subject::Reserve, measured.await)
}

/// Measures the page while holds expire. Its floor is the same page before.
async fn timers(server: &Server, stage: &Stage, count: u32, plan: Plan) -> Row {
    let (measured, note) = match timers::run(server, stage, count, plan).await {
        Ok(timers::Measured { meanwhile, before, note }) => (Ok((meanwhile, before, None)), Some(note)),
        Err(trouble) => (Err(trouble), None),
    };
    Row { subject: Subject::Timers, measured, note }
}

fn row(subject: Subject, measured: Outcome<(Summary, Summary, Option<usize>)>) -> Row {
    Row { subject, measured, note: None }
}
