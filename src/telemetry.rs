//! The logs and metrics of this process.

mod metrics_table;

use std::{io::IsTerminal, time::Duration};

use domain::platform::Db;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    config::{Config, LogFormat},
    database::pools,
    exit::{Exit, Failure, Outcome},
};

/// Log directives for libraries that log more than an operator needs. The configured filter follows them and
/// can override them. The HTTP/1 dispatcher is off because it logs every connection that does not speak HTTP
/// as an error, so anybody could fill the log.
const QUIET: &str = "actix_server=warn,actix_http=warn,actix_http::h1::dispatcher=off,sqlx=warn,\
                     sea_orm=warn,sea_orm_migration=warn,lettre=warn,hyper=warn";

/// The log directive for the heads of the audit log. They are always logged, because without them nobody can
/// detect that the whole log was sealed again. `audit=off` in the configured filter turns this off.
const HEADS: &str = "audit=info";

/// The bucket bounds of the histograms, in seconds: from a cached read to a deadline.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The bucket bounds of the number of reservations per transaction.
const BATCH_BUCKETS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// How often the recorder aggregates its histograms. Without this, all samples stay in memory.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Starts logging to standard error.
pub(crate) fn log(config: &Config) -> Outcome {
    let pretty = match config.log_format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let filter = EnvFilter::new(format!("{QUIET},{HEADS},{}", config.log.as_str()));
    let registry = tracing_subscriber::registry().with(filter);
    let started = if pretty {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let lines = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
        registry.with(lines.compact()).try_init()
    } else {
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
        registry.with(lines.with_writer(std::io::stderr)).try_init()
    };
    started.map_err(|cause| Failure::unexpected("start logging", &cause))
}

/// Installs the metrics recorder, and returns the function that renders the text of `/metrics`.
pub(crate) fn metrics(db: &Db) -> Outcome<impl Fn() -> String + Send + Sync + use<>> {
    let builder = PrometheusBuilder::new().set_buckets(BUCKETS).map_err(|cause| unexpected(&cause))?;
    let of_batches = Matcher::Full(domain::reservations::desk::BATCH_REQUESTS.to_owned());
    let builder =
        builder.set_buckets_for_metric(of_batches, BATCH_BUCKETS).map_err(|cause| unexpected(&cause))?;
    let handle = builder.install_recorder().map_err(|cause| unexpected(&cause))?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            upkeep.run_upkeep();
        }
    });
    metrics_table::describe();
    let db = db.clone();
    Ok(move || {
        pools::measure(&db);
        handle.render()
    })
}

fn unexpected(cause: &dyn std::error::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format_args!("could not start the metrics: {cause}"),
        "This is a bug: please report it",
    )
}
