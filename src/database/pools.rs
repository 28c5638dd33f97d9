//! Metrics of the database connection pools, measured whenever `/metrics` is read.

use domain::platform::Db;
use metrics::gauge;
use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{self, Pool},
};

/// Sets the gauges to the current values.
pub(crate) fn measure(db: &Db) {
    match db.backend() {
        DbBackend::Sqlite => {
            measure_pool("reader", db.reader());
            measure_pool("writer", db.schema_connection());
        }
        _ => measure_pool("shared", db.reader()),
    }
}

fn measure_pool(pool: &'static str, connection: &DatabaseConnection) {
    match connection.get_database_backend() {
        DbBackend::Sqlite => set(pool, connection.get_sqlite_connection_pool()),
        DbBackend::Postgres => set(pool, connection.get_postgres_connection_pool()),
        _ => {}
    }
}

fn set<D: sqlx::Database>(name: &'static str, pool: &Pool<D>) {
    let size = pool.size();
    // The two values are not read at the same moment, so `idle` may exceed `size`.
    let idle = u32::try_from(pool.num_idle()).unwrap_or(size).min(size);
    gauge!("smallrun_db_connections", "pool" => name, "state" => "idle").set(f64::from(idle));
    gauge!("smallrun_db_connections", "pool" => name, "state" => "used")
        .set(f64::from(size.saturating_sub(idle)));
    gauge!("smallrun_db_connections_max", "pool" => name)
        .set(f64::from(pool.options().get_max_connections()));
}
