//! Builds the parts of servers and workers from the configuration.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use api::Check;
use domain::{
    platform::{Db, mail::LinkBase, tasks::Queue},
    reservations::{DeskActivity, desk::DeskSettings},
};
use edge::{
    budget::BudgetSettings,
    guard::Limits,
    http::{
        connections::ConnectionLimits,
        documents::{Documents, TrustedDocuments},
    },
    live::LiveBounds,
    uploads::UploadRules,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use workers::{
    Loops, WorkerDeps,
    bus::{Bus, BusState, embedded::EmbeddedBus, rabbit::RabbitBus},
};

use crate::{
    config::{BusUrl, Config, ListenAddress, PublicUrl},
    data_folder::DataFolder,
    database,
    exit::{Exit, Failure, Outcome},
    gateways::PaymentParts,
    mailer::mailer,
};

/// The number of open files reserved for everything except client connections: up to 200 database
/// connections, the broker, e-mails and pictures.
const FILES_OF_OTHERS: u64 = 400;

/// Refuses combinations of settings that would lose work.
pub(crate) fn check(config: &Config) -> Outcome {
    match config.bus_url {
        BusUrl::Rabbit(..) if config.database_url.sqlite_file().is_some() => {
            let what = "RabbitMQ cannot be used with SQLite, which supports only a single process";
            Err(Failure::new(
                Exit::BadSetting,
                what,
                "Set `database_url` to postgres://…, or `bus_url` to embedded://",
            ))
        }
        BusUrl::Rabbit(..) | BusUrl::Embedded => Ok(()),
    }
}

/// Binds the address. This happens before anything starts that would have to be undone.
pub(crate) fn listen(listen: &ListenAddress) -> Outcome<(TcpListener, SocketAddr)> {
    let bound = TcpListener::bind(listen.0).and_then(|listener| {
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => {
            let what = format!("{listen} is in use by another program");
            Failure::new(
                Exit::Unavailable,
                what,
                "Stop that program, or choose another address, such as --listen 127.0.0.1:8081",
            )
        }
        ErrorKind::PermissionDenied => {
            let what = format!("this user is not allowed to listen on {listen}");
            Failure::new(Exit::Unavailable, what, "Choose a port above 1023, such as --listen 127.0.0.1:8080")
        }
        _ => {
            let what = format!("cannot listen on {listen}: {cause}");
            Failure::new(
                Exit::Unavailable,
                what,
                "Choose an address of this machine, such as --listen 127.0.0.1:8080",
            )
        }
    })
}

/// Creates the bus of this process. A connection to RabbitMQ is opened in the background; until then, work
/// waits in the database.
pub(crate) fn bus(config: &Config, db: &Db) -> Outcome<Arc<dyn Bus>> {
    match &config.bus_url {
        BusUrl::Embedded => Ok(Arc::new(EmbeddedBus::new(db.clone()))),
        BusUrl::Rabbit(url, _) => {
            let authorities = config.bus_ca_file.path().map(|path| {
                fs::read_to_string(path).map_err(|cause| {
                    let what = format!("the certificates `{}` cannot be read: {cause}", path.display());
                    Failure::new(
                        Exit::BadSetting,
                        what,
                        "Correct `bus_ca_file`, or make the file readable for this user",
                    )
                })
            });
            Ok(Arc::new(RabbitBus::start(db, url.clone(), authorities.transpose()?)))
        }
    }
}

/// Reads the trusted documents, and sets up the memory for automatic persisted queries.
pub(crate) fn documents(config: &Config) -> Outcome<Documents> {
    let only = config.trusted_documents_only.0;
    let trusted = match config.trusted_documents_file.path() {
        Some(path) => {
            let bad = |what: String| {
                let what = format!("the trusted documents `{}` {what}", path.display());
                Failure::new(Exit::BadSetting, what, "Correct the file that `trusted_documents_file` names")
            };
            let text = fs::read_to_string(path).map_err(|cause| bad(format!("cannot be read: {cause}")))?;
            TrustedDocuments::parse(&text).map_err(|cause| bad(format!("cannot be used: {cause}")))?
        }
        None if only => {
            let what = "`trusted_documents_only` is set without any documents: all requests would be refused";
            return Err(Failure::new(
                Exit::BadSetting,
                what,
                "Set `trusted_documents_file` to the file that your code generator wrote",
            ));
        }
        None => TrustedDocuments::default(),
    };
    let kept_bytes_max = u64::from(config.persisted_queries_mib_max.get()).saturating_mul(1024 * 1024);
    Ok(Documents::new(trusted, only, kept_bytes_max))
}

/// Returns the limits on connections: how many there may be, and how slow they may be. The number is lowered
/// if the system does not let this process open enough files.
pub(crate) fn connection_limits(config: &Config, files_max: u64) -> ConnectionLimits {
    let wanted = usize::try_from(config.connections_max.get()).unwrap_or(usize::MAX);
    let possible = usize::try_from(files_max.saturating_sub(FILES_OF_OTHERS)).unwrap_or(usize::MAX).max(1);
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            files_max,
            "the limit on open files allows fewer connections than `connections_max`"
        );
    }
    let seconds = |number: u32| Duration::from_secs(number.into());
    ConnectionLimits {
        connections_max: wanted.min(possible),
        per_address_max: usize::try_from(config.connections_per_address_max.get()).unwrap_or(usize::MAX),
        many_behind: config.trusted_proxies.addresses().to_vec(),
        head_within: seconds(config.request_head_secs_max.get()),
        idle_within: seconds(config.idle_secs_max.get()),
        stalled_within: seconds(config.answer_stall_secs_max.get()),
    }
}

/// Returns the rules for uploads: the folder for the files while their request runs, and their maximum size.
pub(crate) fn uploads(config: &Config, folder: &DataFolder) -> Outcome<UploadRules> {
    /// The maximum number of files per request; no mutation takes more.
    const FILES_MAX: usize = 1;
    /// The maximum number of uploads at once. While a file is read, it briefly takes several times its size
    /// in memory.
    const AT_ONCE: usize = 4;
    let bytes_max = usize::try_from(config.upload_bytes_max.get()).unwrap_or(usize::MAX);
    let within = Duration::from_secs(config.upload_secs_max.get().into());
    Ok(UploadRules::new(folder.make("spool")?, bytes_max, FILES_MAX, within, AT_ONCE))
}

/// Builds the dependencies of the workers.
pub(crate) fn worker_deps(
    config: &Config,
    db: &Db,
    desk: DeskActivity,
    payments: &PaymentParts,
    public_url: &PublicUrl,
    queues: Vec<(Queue, usize)>,
) -> Outcome<WorkerDeps> {
    Ok(WorkerDeps {
        db: db.clone(),
        desk,
        mailer: mailer(config)?,
        gateways: payments.gateways.clone(),
        tasks: payments.tasks(),
        sweeps: payments.sweeps(),
        links: LinkBase::new(public_url.as_str()),
        queues,
    })
}

/// Returns the limits of every request.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        bytes_max: config.query_bytes_max.get(),
        tokens_max: config.query_tokens_max.get(),
        name_bytes_max: config.query_name_bytes_max.get(),
        nesting_max: config.query_nesting_max.get(),
        directives_max: config.query_directives_max.get(),
        aliases_max: config.query_aliases_max.get(),
        root_fields_max: config.query_root_fields_max.get(),
        variables_max: config.query_variables_max.get(),
        values_max: config.query_values_max.get(),
        values_nesting_max: config.query_values_nesting_max.get(),
        selections_max: config.query_selections_max.get(),
        depth_max: config.query_depth_max.get(),
        complexity_max: config.query_complexity_max.get(),
        introspection_depth_max: config.introspection_depth_max.get(),
        introspection_lists_max: config.introspection_lists_max.get(),
        introspection_complexity_max: config.introspection_complexity_max.get(),
    }
}

/// Returns the rate limit for callers of the API, or `None` if it is off.
pub(crate) fn budget(config: &Config) -> Option<BudgetSettings> {
    config.budget.0.then(|| BudgetSettings {
        points_max: config.budget_points_max.get(),
        points_per_second: config.budget_points_per_second.get(),
        callers_max: config.budget_callers_max.get(),
    })
}

/// Returns the limits of the desks, in front of which requests to reserve wait.
pub(crate) fn desk(config: &Config) -> DeskSettings {
    let many = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    DeskSettings {
        queue_max: many(config.reserve_queue_max.get()),
        wait_max: Duration::from_millis(config.reserve_wait_ms_max.get().into()),
        // The other half of the pool is for payments and all other work.
        transactions_max: many(config.database_pool_max.get()).div_euclid(2).max(1),
    }
}

/// Returns the limits on live connections.
pub(crate) fn live_bounds(config: &Config) -> LiveBounds {
    let many = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    LiveBounds {
        connections_max: many(config.live_connections_max.get()),
        connections_per_address_max: many(config.live_connections_per_address_max.get()),
        operations_max: many(config.live_operations_max.get()),
        message_bytes_max: many(config.live_message_bytes_max.get()),
        init_within: Duration::from_secs(config.live_init_secs.get().into()),
        keep_alive_every: Duration::from_secs(config.live_keep_alive_secs.get().into()),
    }
}

/// Returns all queues, each with its default number of simultaneous tasks.
pub(crate) fn all_queues() -> Vec<(Queue, usize)> {
    Queue::ALL.into_iter().map(|queue| (queue, queue.concurrency())).collect()
}

/// Returns the checks of `/readyz`, besides the one of the database.
pub(crate) fn checks(db: &Db, bus: &Arc<dyn Bus>, loops: Loops) -> Vec<Check> {
    vec![schema_check(db), bus_check(bus), Check::new("workers", move || std::future::ready(loops.check()))]
}

/// Checks whether the bus works. Without it, workers find their work by polling, so the check is not required
/// for readiness.
fn bus_check(bus: &Arc<dyn Bus>) -> Check {
    let bus = Arc::clone(bus);
    let check = Check::new("bus", move || {
        std::future::ready(match bus.state() {
            BusState::Up => Ok(()),
            BusState::Blocked => Err("the broker accepts no messages; workers poll the database".to_owned()),
            BusState::Down => Err("the broker does not answer; workers poll the database".to_owned()),
        })
    });
    check.not_required()
}

/// Checks whether all migrations of this program are applied to the database.
pub(crate) fn schema_check(db: &Db) -> Check {
    let db = db.clone();
    Check::new("schema", move || {
        let db = db.clone();
        async move {
            match database::lack(&db).await {
                Ok(None) => Ok(()),
                Ok(Some(lack)) => Err(lack),
                Err(error) => {
                    tracing::warn!(%error, "could not read which migrations are applied");
                    Err("the applied migrations could not be read".to_owned())
                }
            }
        }
    })
}

/// The signals that stop the process: SIGTERM from a supervisor, SIGINT from a terminal.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Outcome<Self> {
        let unheard = |cause: std::io::Error| Failure::unexpected("listen for signals", &cause);
        let terminate = signal(SignalKind::terminate()).map_err(unheard)?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt()).map_err(unheard)? })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
