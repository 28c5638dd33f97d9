//! `smallrun serve`: serves the API and, without `--no-workers`, runs the background workers.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{App, dev::ServerHandle, middleware::from_fn};
use api::http::SharedEdge;
use domain::{
    accounts::queries::any_admin,
    platform::{Db, access::SystemScope, tasks},
    reservations::desk::Desk,
};
use edge::{
    Settings,
    http::{connections, documents::Documents},
    settings::HttpSettings,
};
use tokio::task::JoinHandle;
use workers::{Workers, WorkersHandle};

use crate::{
    config::{BusUrl, Config, ListenAddress, MailUrl, PublicUrl, Source},
    data_folder::DataFolder,
    database::{self, SoleServer},
    demo,
    exit::{Exit, Failure, Outcome},
    gateways::PaymentParts,
    open_files,
    schema_wait::{self, Metrics},
    telemetry, terminal,
    wiring::{self, Signals},
};

/// The share of the shutdown time, in percent, in which requests can finish. The rest is for the workers.
const REQUESTS_PERCENT: u64 = 50;

/// The share of the shutdown time, in percent, in which mutations that have begun can finish.
const MUTATIONS_PERCENT: u32 = 75;

/// The arguments of `smallrun serve`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// The address to listen on; port 0 picks a free port [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Load the demo marketplace first, or the parts of it that are missing.
    #[arg(long)]
    demo: bool,
    /// Run no background workers; `smallrun work` runs them instead, which needs RabbitMQ.
    #[arg(long)]
    no_workers: bool,
}

pub(super) async fn run(config: Config, arguments: &Arguments) -> Outcome {
    wiring::check(&config)?;
    if arguments.no_workers && matches!(config.bus_url, BusUrl::Embedded) {
        let what = "--no-workers needs RabbitMQ: with the embedded bus, no other process can run the workers";
        return Err(Failure::new(Exit::Usage, what, "Remove --no-workers, or set `bus_url` to amqp://…"));
    }
    let documents = wiring::documents(&config)?;
    let folder = DataFolder::open(&config.data)?;
    let mut sole = match config.bus_url {
        BusUrl::Embedded => SoleServer::take(&config).await?,
        BusUrl::Rabbit(..) => SoleServer::one_of_many(),
    };
    let (listener, address) = wiring::listen(&config.listen)?;
    let public_url = match config.source("public_url") {
        // With port 0, only the listener knows the actual port.
        Source::Default => PublicUrl::of(&ListenAddress(address)),
        Source::File | Source::Variable(_) | Source::Option(_) => config.public_url.clone(),
    };
    let db = database::open_for_server(&config).await?;
    let metrics: Metrics = Arc::new(telemetry::metrics(&db)?);
    let listening = Some((&listener, address));
    let Some(db) = schema_wait::until_current(&config, db, listening, &metrics).await? else {
        return Ok(());
    };
    let follows = database::follow_clock(&db);
    let (added, demo) = if arguments.demo {
        (demo::load(&db).await?, Some(demo::tokens(&db, &folder).await?))
    } else {
        (0, None)
    };
    let (tokens, tokens_file) = demo.unzip();
    match config.bus_url {
        BusUrl::Embedded => take_back(&config, &db).await?,
        BusUrl::Rabbit(..) => {}
    }
    let mut signals = Signals::listen()?;
    // The server is only being tried out if it is a demo, or if only this machine can reach it.
    let tried_out = arguments.demo || (address.ip().is_loopback() && public_url.is_of_this_machine());
    let place = ServerAddresses { listener, address, public_url: public_url.clone(), tried_out };
    let no_workers = arguments.no_workers;
    let parts = Parts {
        config: &config,
        folder: &folder,
        db: &db,
        documents,
        metrics,
        tokens: tokens.as_ref(),
        no_workers,
    };
    let running = start(parts, place)?;
    if added > 0 && !arguments.no_workers {
        // Wait, so that the greeting is the last text on the terminal.
        demo::settle(&db).await;
    }
    greet(&config, &db, &public_url, (address, tried_out), tokens_file.as_ref()).await?;
    let why = tokio::select! {
        () = signals.next() => Ok(()),
        () = sole.lost() => {
            let what = "this server lost its database session, and another server took over the database";
            let todo = "Run only one server on each database: stop the other one, then start this one again";
            Err(Failure::new(Exit::Unavailable, what, todo))
        }
    };
    let within = Duration::from_secs(config.shutdown_secs.get().into());
    let stop = async {
        running.stop(within).await;
        drop(follows);
        database::close(db).await;
    };
    tokio::select! {
        () = stop => why,
        () = signals.next() => {
            let what = "stopped by a second signal, before all requests and tasks had finished";
            Err(Failure::new(Exit::Failed, what, "Start it again: the unfinished tasks then run again"))
        }
    }
}

/// Makes the tasks that the previous server left running ready again. This is the only server on the
/// database, so no other process is working on them.
async fn take_back(config: &Config, db: &Db) -> Outcome {
    let taken = tasks::take_back(db, &SystemScope::new("start")).await;
    let taken = taken
        .map_err(|error| database::failure(config, "recover the tasks of the previous server", &error))?;
    if taken > 0 {
        tracing::info!(taken, "the previous server ended while tasks were running; they run again");
    }
    Ok(())
}

/// The parts of a running server.
struct Running {
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    edge: SharedEdge,
    live: api::Live,
    workers: WorkersHandle,
}

/// The addresses of this server: the one that it listens on, and the public one.
struct ServerAddresses {
    listener: TcpListener,
    address: SocketAddr,
    public_url: PublicUrl,
    tried_out: bool,
}

/// What a server is made of.
struct Parts<'a> {
    config: &'a Config,
    folder: &'a DataFolder,
    db: &'a Db,
    documents: Documents,
    metrics: Metrics,
    tokens: Option<&'a demo::Tokens>,
    no_workers: bool,
}

fn start(parts: Parts<'_>, place: ServerAddresses) -> Outcome<Running> {
    let Parts { config, folder, db, documents, metrics, tokens, no_workers } = parts;
    // The sandbox sends its webhooks directly to this server: a proxy in front of it might refuse them.
    let itself = PublicUrl::of(&ListenAddress(place.address));
    let payments = PaymentParts::new(config, folder, db, &place.public_url, &itself)?;
    let bus = wiring::bus(config, db)?;
    let desk = Desk::new(db, wiring::desk(config));
    // The workers start before the server: its health checks report on them. The port is already bound.
    let mut workers = if no_workers {
        Workers::announcing(&bus, db)
    } else {
        Workers::start(
            &bus,
            wiring::worker_deps(
                config,
                db,
                desk.activity(),
                &payments,
                &place.public_url,
                wiring::all_queues(),
            )?,
        )
    };
    let live = api::Live::start(db);
    workers.add_projection(db, Arc::new(live.clone()));
    let loops = workers.loops();
    let api = api::Api {
        db: db.clone(),
        gateways: payments.gateways.clone(),
        edge: edge_settings(config, folder, &place, documents)?,
        playground: config
            .playground
            .is_on(place.tried_out)
            .then(|| api::DemoTokens(tokens.map(demo::Tokens::by_role))),
        checks: wiring::checks(db, &bus, loops),
        metrics,
        desk,
        live: live.clone(),
    };
    let edge = api::http::edge(api);
    let finishing = edge.clone();
    let payments = Arc::new(payments);
    let application = move || {
        let (edge, payments) = (edge.clone(), Arc::clone(&payments));
        let app = App::new().configure(|routes| api::http::configure(routes, &edge));
        app.configure(|routes| payments.pages(routes)).wrap(from_fn(api::http::around))
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let requests_secs = u64::from(config.shutdown_secs.get()).saturating_mul(REQUESTS_PERCENT).div_ceil(100);
    let limits = wiring::connection_limits(config, open_files::raise_limit());
    let server = connections::serve(place.listener, cores, requests_secs, limits, application);
    let server = server.map_err(|cause| Failure::unexpected("listen", &cause))?;
    let handle = server.handle();
    let serving = tokio::spawn(server);
    Ok(Running { server: handle, serving, edge: finishing, live, workers })
}

/// Builds the settings of the edge from the configuration.
fn edge_settings(
    config: &Config,
    folder: &DataFolder,
    place: &ServerAddresses,
    documents: Documents,
) -> Outcome<Settings> {
    Ok(Settings {
        introspection: config.introspection.audience(place.tried_out),
        documents,
        http: HttpSettings {
            cors: config.cors_origins.cors(),
            https: place.public_url.as_str().starts_with("https://"),
            body_within: Duration::from_secs(config.request_body_secs_max.get().into()),
        },
        trusted_proxies: config.trusted_proxies.addresses().to_vec(),
        query_deadline: Duration::from_secs(config.query_secs_max.get().into()),
        limits: wiring::limits(config),
        budget: wiring::budget(config),
        shed_from: Duration::from_millis(config.shed_wait_ms_min.get().into()),
        uploads: wiring::uploads(config, folder)?,
        live: wiring::live_bounds(config),
    })
}

impl Running {
    /// Stops accepting requests, waits for running requests, then stops the workers.
    async fn stop(self, within: Duration) {
        let began = Instant::now();
        tracing::info!("stopping");
        // End long-lived connections first: the server would wait for them.
        self.live.stop();
        // Returns when all requests have finished, or when their share of the time is over.
        self.server.stop(true).await;
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the server ended with an error"),
            Err(error) => tracing::error!(%error, "the server task failed"),
        }
        // Mutations keep running after their connection is closed.
        self.edge.finish(percent(within, MUTATIONS_PERCENT).saturating_sub(began.elapsed())).await;
        self.workers.stop(within.saturating_sub(began.elapsed())).await;
        tracing::info!(took = ?began.elapsed(), "stopped");
    }
}

fn percent(time: Duration, percent: u32) -> Duration {
    time.saturating_mul(percent).checked_div(100).unwrap_or(time)
}

/// Prints the addresses, the mail folder, and the first steps to standard output.
async fn greet(
    config: &Config,
    db: &Db,
    public_url: &PublicUrl,
    (address, tried_out): (SocketAddr, bool),
    demo: Option<&PathBuf>,
) -> Outcome {
    let url = public_url.as_str();
    let mut text = format!("Smallrun listens on http://{address}\n\n");
    if config.playground.is_on(tried_out) {
        text.push_str(&format!("  Playground  {url}/playground\n"));
    }
    text.push_str(&format!("  GraphQL     {url}/graphql\n"));
    if let MailUrl::Folder(folder) = &config.mail_url {
        text.push_str(&format!("  E-mails     {}\n", folder.display()));
    }
    let admins = any_admin(db, &SystemScope::new("start")).await;
    match demo {
        Some(tokens) => text.push_str(&demo::introduction(url, tokens)),
        None if !admins
            .map_err(|error| database::failure(config, "look for an administrator", &error))? =>
        {
            text.push_str(
                "\nThere is no administrator yet. Create one in another terminal:\n\n  \
                 smallrun admin create --email you@example.org\n",
            )
        }
        None => {}
    }
    text.push_str("\nPress Ctrl-C to stop.\n");
    terminal::answer(&text);
    Ok(())
}
