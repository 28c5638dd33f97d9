//! `smallrun work`: runs only the background workers. Any number of these processes can run.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, web::Data};
use domain::{platform::tasks::Queue, reservations::DeskActivity};
use tokio::runtime::Handle;
use workers::Workers;

use crate::{
    config::{BusUrl, Config},
    data_folder::DataFolder,
    database,
    exit::{Exit, Failure, Outcome},
    gateways::PaymentParts,
    schema_wait::{self, Metrics},
    telemetry, terminal,
    wiring::{self, Signals},
};

/// The most tasks of one queue that a process can run at once.
const CONCURRENCY_MAX: usize = 256;

/// The arguments of `smallrun work`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Work only on these queues, optionally with the number of tasks to run at once: `payments,mail=8`.
    ///
    /// The queues are payments, reservations, mail, sandbox and imports. The default is all of them.
    #[arg(long, value_name = "QUEUE[=N],…", value_delimiter = ',', value_parser = one_queue)]
    queues: Vec<(Queue, usize)>,
    /// Serve /livez, /readyz and /metrics on this address; by default, the process does not listen.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
}

fn one_queue(text: &str) -> Result<(Queue, usize), String> {
    let (name, count) = text.split_once('=').map_or((text, None), |(name, count)| (name, Some(count)));
    let queue = Queue::ALL.into_iter().find(|queue| queue.name() == name).ok_or_else(|| {
        let names: Vec<_> = Queue::ALL.into_iter().map(Queue::name).collect();
        format!("there is no queue `{name}`; the queues are {}", names.join(", "))
    })?;
    let Some(count) = count else { return Ok((queue, queue.concurrency())) };
    match count.parse() {
        Ok(count) if (1..=CONCURRENCY_MAX).contains(&count) => Ok((queue, count)),
        Ok(_) | Err(_) => Err(format!("`{count}` is not a number of tasks from 1 to {CONCURRENCY_MAX}")),
    }
}

pub(super) async fn run(config: Config, arguments: &Arguments) -> Outcome {
    wiring::check(&config)?;
    if matches!(config.bus_url, BusUrl::Embedded) {
        let what = "this command needs RabbitMQ: with the embedded bus, the server runs the workers itself";
        return Err(Failure::new(
            Exit::Usage,
            what,
            "Set `bus_url` to amqp://… to run workers in their own processes",
        ));
    }
    let folder = DataFolder::open(&config.data)?;
    let listener = arguments.listen.as_ref().map(|_| wiring::listen(&config.listen)).transpose()?;
    let db = database::open_for_server(&config).await?;
    let metrics: Metrics = Arc::new(telemetry::metrics(&db)?);
    let listening = listener.as_ref().map(|(listener, address)| (listener, *address));
    let Some(db) = schema_wait::until_current(&config, db, listening, &metrics).await? else {
        return Ok(());
    };
    let mut signals = Signals::listen()?;
    let payments = PaymentParts::new(&config, &folder, &db, &config.public_url, &config.public_url)?;
    // If a queue is named several times, the last one counts.
    let named: BTreeMap<_, _> =
        arguments.queues.iter().map(|(queue, count)| (queue.name(), (*queue, *count))).collect();
    let queues = if named.is_empty() { wiring::all_queues() } else { named.into_values().collect() };
    let names: Vec<_> =
        queues.iter().map(|(queue, count)| format!("{} ({count} at once)", queue.name())).collect();
    let bus = wiring::bus(&config, &db)?;
    let workers = Workers::start(
        &bus,
        wiring::worker_deps(&config, &db, DeskActivity::default(), &payments, &config.public_url, queues)?,
    );
    if let Some((listener, address)) = listener {
        let checks = wiring::checks(&db, &bus, workers.loops());
        let operations =
            Data::new(api::Operations { db: db.clone(), checks, runtime: Handle::current(), metrics });
        let server = HttpServer::new(move || {
            App::new().configure(|routes| api::http::health::configure(routes, &operations))
        });
        let server = server.workers(1).disable_signals().listen(listener);
        // This server is not stopped: it ends with the process.
        tokio::spawn(server.map_err(|cause| Failure::unexpected("listen", &cause))?.run());
        terminal::answer(&format!("Listening on http://{address}\n"));
    }
    terminal::answer(&format!("Working on {}\n\nPress Ctrl-C to stop.\n", names.join(", ")));
    signals.next().await;
    tracing::info!("stopping");
    let stop = async {
        workers.stop(Duration::from_secs(config.shutdown_secs.get().into())).await;
        database::close(db).await;
        tracing::info!("stopped");
    };
    tokio::select! {
        () = stop => Ok(()),
        () = signals.next() => {
            let what = "stopped by a second signal, before all tasks had finished";
            Err(Failure::new(Exit::Failed, what, "Keep a worker running: it runs the unfinished tasks again"))
        }
    }
}
