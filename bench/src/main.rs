//! Measures a running Smallrun over HTTP, like a client, against floors that are measured in the same run on the same
//! machine: what no server and no database could do faster. The ratio is what matters; the rates depend on the machine.
//!
//! [`client`] the HTTP client; [`load`] the loop that measures; [`floor_http`], [`floor_sql`] the floors;
//! [`store`], [`server`], [`stage`] what is measured; [`mod@timers`] what comes due at once; [`report`] the answer.

mod client;
mod floor_http;
mod floor_sql;
mod load;
mod options;
mod report;
mod server;
mod stage;
mod store;
mod timers;

use std::{fmt, process::ExitCode};

use clap::Parser as _;

use crate::{
    floor_http::BareServer,
    load::{Calls, Plan, Summary},
    options::{Options, Subject},
    report::{Report, Row},
    server::Server,
    stage::Stage,
    store::Store,
};

/// What went wrong, as a sentence without its full stop.
#[derive(Debug)]
struct Trouble(String);

/// What a step answers.
type Outcome<T> = Result<T, Trouble>;

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Trouble {
    fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    /// For `map_err`: what was tried, and why it failed.
    fn doing<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |cause| Self(format!("could not {what}: {cause}"))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Before any connection to a database: the provider is a choice of the program.
    let _installed_once = rustls::crypto::ring::default_provider().install_default();
    match run(&options).await {
        Ok(report) => {
            print!("{}", if options.json { report.json() } else { report.table() });
            if report.rows.iter().any(|row| row.measured.is_err()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(trouble) => {
            eprintln!("error: {trouble}.");
            ExitCode::FAILURE
        }
    }
}

/// Sets everything up, measures, and takes everything away again, also after Ctrl-C.
async fn run(options: &Options) -> Outcome<Report> {
    if cfg!(debug_assertions) && !options.debug {
        return Err(Trouble::new(
            "a debug build measures itself; run `cargo run --release -p bench`, or say --debug to try it out",
        ));
    }
    let store = Store::make().await?;
    let outcome = tokio::select! {
        outcome = measure(options, &store) => outcome,
        () = stopped() => Err(Trouble::new("stopped")),
    };
    store.remove().await;
    outcome
}

async fn measure(options: &Options, store: &Store) -> Outcome<Report> {
    let binary = server::binary(options).await?;
    progress(format_args!("Starting {} with the demo marketplace, {}", binary.display(), store.describe()));
    let server = Server::start(&binary, store).await?;
    let wants = |subject| options.only.is_empty() || options.only.contains(&subject);
    // Buyers are needed by these only, and take a while.
    let reserves = wants(Subject::Reserve) || wants(Subject::Timers);
    let buyers = if reserves { server.make_buyers(options.buyers).await? } else { Vec::new() };
    progress(format_args!("Setting the stage: a page of {} drops, one of them with {} units", stage::PAGE, stage::UNITS));
    let stage = Stage::set(&server, buyers).await?;
    let plan = Plan { connections: options.connections, warm_up: options.warm_up(), time: options.time() };
    let mut rows = Vec::new();
    for subject in Subject::ALL.into_iter().filter(|subject| wants(*subject)) {
        progress(format_args!("Measuring {}, and before it {}", subject.title(), subject.floor_title()));
        rows.push(match subject {
            Subject::Page => read(subject, &stage, &stage.page_request(), plan).await,
            Subject::Slug => read(subject, &stage, &stage.slug_request(), plan).await,
            Subject::Reserve => reserve(&stage, store, plan).await,
            Subject::Timers => timers(&server, &stage, options.timers, plan).await,
        });
    }
    Ok(Report { database: store.kind(), plan, rows })
}

/// A query: the same request over and over. Its floor is a bare server that answers the very same bytes.
async fn read(subject: Subject, stage: &Stage, request: &[u8], plan: Plan) -> Row {
    let measured = async {
        let answer = stage.answer_to(request).await?;
        let bytes = answer.len();
        let bare = BareServer::start(answer).await?;
        let floor = load::run(plan, |_| Calls::repeated(bare.address(), request.to_vec())).await;
        bare.stop().await;
        let product = load::run(plan, |_| Calls::repeated(stage.address(), request.to_vec())).await?;
        Ok((product, floor?, Some(bytes)))
    };
    row(subject, measured.await)
}

/// A reservation, each by another buyer with a key of its own. Its floor is the least that a transaction could do.
async fn reserve(stage: &Stage, store: &Store, plan: Plan) -> Row {
    let measured = async {
        // The floor first: what a reservation leaves to the workers would disturb it.
        let floor = floor_sql::run(store, plan).await?;
        let product = load::run(plan, |connection| stage.reserving(connection)).await?;
        Ok((product, floor, None))
    };
    row(Subject::Reserve, measured.await)
}

/// A page while holds run out. Its floor is the same page before.
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

fn progress(what: impl fmt::Display) {
    eprintln!("{what} …");
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
