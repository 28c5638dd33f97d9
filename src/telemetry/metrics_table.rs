//! The metrics of the program: their names, kinds and descriptions in one table.
//!
//! Crates record metrics where things happen. They are described here, for the HELP lines of `/metrics`.
//! `tests/papers` compares this table with the names that the code records, and with
//! `docs/operate/metrics.md`.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// A metric: how it is recorded, its name, and its description.
enum Metric {
    /// Only grows.
    Counter(&'static str, &'static str),
    /// Goes up and down.
    Gauge(&'static str, &'static str),
    /// Has buckets.
    Histogram(&'static str, &'static str),
}

use Metric::{Counter, Gauge, Histogram};

/// All metrics. A name that ends in `_seconds` is measured in seconds, all others are counts.
const METRICS: &[Metric] = &[
    // Tasks and timers.
    Gauge("smallrun_queue_depth", "Tasks by queue and state. `dead` tasks need an administrator."),
    Gauge("smallrun_queue_lag_seconds", "How long the oldest due task of a queue has been waiting."),
    Gauge(
        "smallrun_queue_oldest_seconds",
        "Age of the oldest unfinished task of a queue, dead letters excluded.",
    ),
    Counter(
        "smallrun_tasks_total",
        "Attempts at tasks, by queue, kind and outcome: `done`; `retry` and `discard`, as the error \
         demands; `timed_out`; `panic`; `lost`, its worker died; `unreadable`, not a task of this \
         version; `left` to a newer version; `handed_back` at a stop; `overtaken` by another worker; \
         `unsettled`, its end could not be written.",
    ),
    Counter("smallrun_task_retries_total", "Attempts at tasks that failed and are retried."),
    Counter(
        "smallrun_dead_letters_total",
        "Tasks that failed too often or permanently and became dead letters.",
    ),
    Counter("smallrun_task_panics_total", "Attempts at tasks that panicked."),
    Counter("smallrun_task_timeouts_total", "Attempts at tasks that were aborted by their timeout."),
    Histogram("smallrun_task_seconds", "Duration of an attempt at a task."),
    Gauge("smallrun_timers_due", "Timers that are due."),
    Gauge("smallrun_timer_lag_seconds", "How long the oldest due timer has been waiting."),
    Counter("smallrun_timers_fired_total", "Timers that fired and became tasks."),
    Gauge(
        "smallrun_unknown_kinds",
        "Tasks, timers and facts of kinds that this version does not know, by what. They wait for a \
         newer version, and no other gauge counts them.",
    ),
    Counter(
        "smallrun_reconciled_total",
        "Repairs by the reconcilers, by what was missing. `payment_unheard` and `payment_not_ended` \
         count requests to a gateway; `payment_outcome` counts those that returned a new outcome.",
    ),
    Counter("smallrun_gateway_waits_total", "Calls to a gateway that were delayed by its rate limit."),
    Counter("smallrun_loop_panics_total", "Loops that panicked and were restarted."),
    // Facts, projections and the bus.
    Gauge("smallrun_facts_unstamped", "Facts that wait for their position."),
    Gauge("smallrun_facts_lag_seconds", "How long the oldest fact has been waiting for its position."),
    Counter("smallrun_facts_relayed_total", "Facts that were stamped with a position and broadcast."),
    Gauge("smallrun_projection_lag_positions", "Facts that a projection has not applied yet."),
    Gauge("smallrun_projection_lag_seconds", "Age of the oldest fact that a projection has not applied yet."),
    Counter(
        "smallrun_projection_failures_total",
        "Failed batches and rebuilds of a projection. They are retried.",
    ),
    Counter(
        "smallrun_projection_rebuilds_total",
        "Rebuilds of a projection from the database, including the first build.",
    ),
    Gauge(
        "smallrun_bus_up",
        "Whether the bus works: 0 while the broker is unreachable or accepts no messages.",
    ),
    Counter("smallrun_bus_connects_total", "Connections made to the broker."),
    Counter("smallrun_announcements_failed_total", "Tasks that were not announced. Polling finds them."),
    Counter(
        "smallrun_broadcasts_failed_total",
        "Batches of facts that were not broadcast. They are read from the table.",
    ),
    // HTTP and GraphQL.
    Counter("smallrun_http_requests_total", "HTTP requests, by route and status."),
    Histogram("smallrun_http_request_seconds", "Duration of an HTTP request, by route."),
    Gauge("smallrun_http_connections", "Open connections."),
    Counter(
        "smallrun_http_connections_refused_total",
        "Refused connections, by the bound that was full: of `all`, or of one `address`.",
    ),
    Counter(
        "smallrun_http_connections_cut_total",
        "Clients that were cut off because they were slow to send a `request` or to read an `answer`.",
    ),
    Counter("smallrun_graphql_operations_total", "GraphQL operations, by kind and outcome."),
    Gauge("smallrun_graphql_running", "GraphQL operations that are running, by kind."),
    Counter(
        "smallrun_graphql_refusals_total",
        "Requests that were refused before they ran, by the limit that they exceeded.",
    ),
    Histogram("smallrun_graphql_wait_seconds", "Time from the arrival of a request until it runs."),
    Counter("smallrun_graphql_shed_total", "Requests shed by an overloaded process, by class of work."),
    Counter(
        "smallrun_persisted_queries_total",
        "Requests that named a document by its hash, by whether it was found.",
    ),
    Gauge("smallrun_live_connections", "Open WebSockets and streams of events."),
    Gauge("smallrun_live_runs", "Running subscriptions. Clients with the same subscription share one."),
    Counter("smallrun_live_values_total", "States sent to subscribers, by transport."),
    Counter("smallrun_live_closed_total", "WebSockets closed by the server, by close code."),
    // Reservations, the database and the audit log.
    Counter("smallrun_reservations_total", "Calls of `checkoutReserve`, by outcome."),
    Gauge("smallrun_desk_waiting", "Requests to reserve that wait for a decision."),
    Histogram("smallrun_desk_wait_seconds", "How long requests to reserve waited for a decision."),
    Counter(
        "smallrun_desk_busy_total",
        "Requests to reserve that were refused because they would have waited too long.",
    ),
    Histogram("smallrun_desk_batch_requests", "Requests to reserve that one transaction decided."),
    Histogram("smallrun_db_statement_seconds", "Duration of a database statement."),
    Gauge(
        "smallrun_db_connections",
        "Open connections to the database, by pool (`reader` and `writer` on SQLite, `shared` on \
         PostgreSQL) and state (`idle`, `used`).",
    ),
    Gauge(
        "smallrun_db_connections_max",
        "The most connections that a pool opens. Above that, requests wait for one.",
    ),
    Counter("smallrun_audit_rows_sealed_total", "Sealed rows of the audit log."),
    Gauge("smallrun_audit_rows_unsealed", "Rows of the audit log that are not sealed yet."),
];

/// Describes all metrics to the recorder.
pub(super) fn describe() {
    for metric in METRICS {
        match *metric {
            Counter(name, what) => describe_counter!(name, unit(name), what),
            Gauge(name, what) => describe_gauge!(name, unit(name), what),
            Histogram(name, what) => describe_histogram!(name, unit(name), what),
        }
    }
}

fn unit(name: &str) -> Unit {
    if name.ends_with("_seconds") { Unit::Seconds } else { Unit::Count }
}
