//! `smallrun serve`: the API and, unless it is told otherwise, the workers.

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
    open_files, telemetry, terminal,
    wiring::{self, Signals},
};

/// The part of a stop's time in which requests may end; what is left then is for the workers.
const REQUESTS_PERCENT: u64 = 50;

/// The part in which mutations that have begun may end.
const MUTATIONS_PERCENT: u32 = 75;

/// What can be said after `serve`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// The address to listen on; port 0 takes a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Load the demo marketplace first, or what is missing of it.
    #[arg(long)]
    demo: bool,
    /// Leave all background work to `smallrun work`, which needs RabbitMQ.
    #[arg(long)]
    no_workers: bool,
}

pub(super) async fn run(config: Config, arguments: &Arguments) -> Outcome {
    wiring::check(&config)?;
    if arguments.no_workers && matches!(config.bus_url, BusUrl::Embedded) {
        let what = "with the bus inside this process nobody else could do the background work";
        return Err(Failure::new(Exit::Usage, what, "Leave --no-workers out, or set `bus_url` to amqp://…"));
    }
    let documents = wiring::documents(&config)?;
    let folder = DataFolder::open(&config.data)?;
    let mut sole = match config.bus_url {
        BusUrl::Embedded => SoleServer::take(&config).await?,
        BusUrl::Rabbit(..) => SoleServer::one_of_many(),
    };
    let (listener, address) = wiring::listen(&config.listen)?;
    let public_url = match config.source("public_url") {
        // With port 0 only the listener knows the port.
        Source::Default => PublicUrl::of(&ListenAddress(address)),
        Source::File | Source::Variable(_) | Source::Option(_) => config.public_url.clone(),
    };
    let (db, _applied) = database::migrate(&config).await?;
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
    // Tried out, and not yet for others: in a demo, and where only this machine can reach it.
    let tried_out = arguments.demo || (address.ip().is_loopback() && public_url.is_of_this_machine());
    let place = Place { listener, address, public_url: public_url.clone(), tried_out };
    let running = start(&config, &folder, &db, place, documents, tokens.as_ref(), arguments)?;
    if added > 0 && !arguments.no_workers {
        // So that what is said next is the last on the terminal.
        demo::settle(&db).await;
    }
    greet(&config, &db, &public_url, (address, tried_out), tokens_file.as_ref()).await?;
    let why = tokio::select! {
        () = signals.next() => Ok(()),
        () = sole.lost() => {
            let what = "another server took over the database while this one had lost its session";
            Err(Failure::new(Exit::Unavailable, what, "Run one server on a database, or start this one again"))
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
            Err(Failure::new(Exit::Failed, "stopped at once, before what was in flight had ended", "Nothing is lost: it runs again"))
        }
    }
}

/// Goes on with what the last server had in hand. This is the only one, so nobody else has it.
async fn take_back(config: &Config, db: &Db) -> Outcome {
    let taken = tasks::take_back(db, &SystemScope::new("start")).await;
    let taken =
        taken.map_err(|error| database::failure(config, "take back the tasks of the last server", &error))?;
    if taken > 0 {
        tracing::info!(taken, "the last server ended in the middle of these tasks; they run again");
    }
    Ok(())
}

/// All that runs.
struct Running {
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    edge: SharedEdge,
    live: api::Live,
    workers: WorkersHandle,
}

/// Where this server is, as itself and as people see it.
struct Place {
    listener: TcpListener,
    address: SocketAddr,
    public_url: PublicUrl,
    tried_out: bool,
}

fn start(
    config: &Config,
    folder: &DataFolder,
    db: &Db,
    place: Place,
    documents: Documents,
    tokens: Option<&demo::Tokens>,
    arguments: &Arguments,
) -> Outcome<Running> {
    let metrics = telemetry::metrics(db)?;
    // Webhooks of its own go to itself directly: a proxy in front may not let them in.
    let itself = PublicUrl::of(&ListenAddress(place.address));
    let payments = PaymentParts::new(config, folder, db, &place.public_url, &itself)?;
    let bus = wiring::bus(config, db)?;
    // Before the server: whether they work is part of what it says of itself. The address is taken already.
    let mut workers = if arguments.no_workers {
        Workers::announcing(&bus, db)
    } else {
        Workers::start(
            &bus,
            wiring::worker_deps(config, db, &payments, &place.public_url, wiring::all_queues())?,
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
        metrics: Arc::new(metrics),
        desk: Desk::new(db, wiring::desk(config)),
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

/// How the edge is set.
fn edge_settings(
    config: &Config,
    folder: &DataFolder,
    place: &Place,
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
    /// Accepts nothing more, lets requests end, then the workers.
    async fn stop(self, within: Duration) {
        let began = Instant::now();
        tracing::info!("stopping");
        // Connections that stay open would be waited for.
        self.live.stop();
        // Answers when requests have ended, or their part of the time is over.
        self.server.stop(true).await;
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the server ended with an error"),
            Err(error) => tracing::error!(%error, "the server ended by a defect"),
        }
        // Mutations go on without the connection that they came by.
        self.edge.finish(percent(within, MUTATIONS_PERCENT).saturating_sub(began.elapsed())).await;
        self.workers.stop(within.saturating_sub(began.elapsed())).await;
        tracing::info!(took = ?began.elapsed(), "stopped");
    }
}

fn percent(time: Duration, percent: u32) -> Duration {
    time.saturating_mul(percent).checked_div(100).unwrap_or(time)
}

/// Says where everything is, once, on the output.
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
        text.push_str(&format!("  Letters     {}\n", folder.display()));
    }
    let admins = any_admin(db, &SystemScope::new("start")).await;
    match demo {
        Some(tokens) => text.push_str(&demo::introduction(url, tokens)),
        None if !admins.map_err(|error| database::failure(config, "look for an administrator", &error))? => text.push_str(
            "\nThere is no administrator yet. Make one, in another terminal:\n\n  smallrun admin create --email you@example.org\n",
        ),
        None => {}
    }
    text.push_str("\nCtrl-C stops it.\n");
    terminal::answer(&text);
    Ok(())
}
