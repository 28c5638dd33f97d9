//! How busy the connections to the database are, for `/metrics`: measured when somebody looks.

use domain::platform::Db;
use metrics::{describe_gauge, gauge};
use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{self, Pool},
};

/// Says what the gauges mean.
pub(crate) fn describe() {
    describe_gauge!(
        "smallrun_db_connections",
        "Open connections to the database by pool (on SQLite reader and writer, on PostgreSQL shared) and state (idle, used)."
    );
    describe_gauge!(
        "smallrun_db_connections_max",
        "The most connections that a pool opens; above that, requests wait for one."
    );
}

/// Sets the gauges to what is so now.
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
    // The two are read one after the other, while connections come and go.
    let idle = u32::try_from(pool.num_idle()).unwrap_or(size).min(size);
    gauge!("smallrun_db_connections", "pool" => name, "state" => "idle").set(f64::from(idle));
    gauge!("smallrun_db_connections", "pool" => name, "state" => "used")
        .set(f64::from(size.saturating_sub(idle)));
    gauge!("smallrun_db_connections_max", "pool" => name)
        .set(f64::from(pool.options().get_max_connections()));
}
