//! `smallrun work`: background work alone, in as many processes as it takes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use actix_web::{App, HttpServer, web::Data};
use domain::platform::tasks::Queue;
use workers::Workers;

use crate::{
    config::{BusUrl, Config},
    data_folder::DataFolder,
    database,
    exit::{Exit, Failure, Outcome},
    gateways::PaymentParts,
    telemetry, terminal,
    wiring::{self, Signals},
};

/// The most tasks of a queue that one process may run at once.
const CONCURRENCY_MAX: usize = 256;

/// What can be said after `work`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Arguments {
    /// Work on these queues only, each with how many tasks at once if you like: `payments,mail=8`.
    ///
    /// The queues are payments, reservations, mail, sandbox and imports. Without this, all of them.
    #[arg(long, value_name = "QUEUE[=N],…", value_delimiter = ',', value_parser = one_queue)]
    queues: Vec<(Queue, usize)>,
    /// Serve /livez, /readyz and /metrics on that address; without this, nothing is listened on.
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
        let what = "with the bus inside a process its server does the background work itself";
        return Err(Failure::new(
            Exit::Usage,
            what,
            "Set `bus_url` to amqp://… for work in processes of its own",
        ));
    }
    let folder = DataFolder::open(&config.data)?;
    let db = database::open_current(&config).await?;
    let mut signals = Signals::listen()?;
    let payments = PaymentParts::new(&config, &folder, &db, &config.public_url, &config.public_url)?;
    // The last word on a queue counts.
    let named: BTreeMap<_, _> =
        arguments.queues.iter().map(|(queue, count)| (queue.name(), (*queue, *count))).collect();
    let queues = if named.is_empty() { wiring::all_queues() } else { named.into_values().collect() };
    let names: Vec<_> =
        queues.iter().map(|(queue, count)| format!("{} ({count} at once)", queue.name())).collect();
    let bus = wiring::bus(&config, &db)?;
    let listener = arguments.listen.as_ref().map(|_| wiring::listen(&config.listen)).transpose()?;
    let workers =
        Workers::start(&bus, wiring::worker_deps(&config, &db, &payments, &config.public_url, queues)?);
    if let Some((listener, address)) = listener {
        let metrics = telemetry::metrics(&db)?;
        let checks = wiring::checks(&db, &bus, workers.loops());
        let operations = Data::new(api::Operations { db: db.clone(), checks, metrics: Arc::new(metrics) });
        let server = HttpServer::new(move || {
            App::new().configure(|routes| api::http::health::configure(routes, &operations))
        });
        let server = server.workers(1).disable_signals().listen(listener);
        // It ends with the process.
        tokio::spawn(server.map_err(|cause| Failure::unexpected("listen", &cause))?.run());
        terminal::answer(&format!("Listening on http://{address}\n"));
    }
    terminal::answer(&format!("Working on {}\n\nCtrl-C stops it.\n", names.join(", ")));
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
            Err(Failure::new(Exit::Failed, "stopped at once, before what was in hand had ended", "Nothing is lost: it runs again"))
        }
    }
}
