//! The database of this process: checks it, locks it, applies migrations, opens it, and explains its errors.
//!
//! [`clock`] follows the deployment's clock; [`sole`] prevents a second server where only one may run;
//! [`wall`] checks the database role of the tenants; [`words`] turns database errors into error messages;
//! [`pools`] measures the connection pools.

mod clock;
pub(crate) mod pools;
mod sole;
mod wall;
mod words;

use std::{path::Path, sync::Arc, time::Duration};

use domain::platform::{Db, connect, demo_clock::DeploymentClock, entropy::SystemEntropy};
use migrations::Migrator;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use sea_orm_migration::MigratorTrait;

use crate::{
    config::Config,
    data_folder::first_bytes,
    exit::{Exit, Failure, Outcome},
    terminal::Step,
};
pub(crate) use clock::follow_clock;
pub(crate) use sole::SoleServer;
pub(crate) use words::failure;

/// The first bytes of every SQLite database file (sqlite.org/fileformat.html, section 1.3).
const SQLITE_HEADER: &[u8] = b"SQLite format 3\0";
/// The largest SQLite file that is checked for damage at the start. The check takes a second at most.
const CHECKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The names of the applied and of the pending migrations.
pub(crate) struct MigrationStatus {
    pub(crate) applied: Vec<String>,
    pub(crate) pending: Vec<String>,
}

/// Opens the database. For SQLite, creates the file and its folder if they are missing.
async fn open(config: &Config) -> Outcome<Db> {
    if let Some(file) = config.database_url.sqlite_file() {
        look_at(file)?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(|cause| Failure::writing(folder, &cause))?;
        }
    }
    let (url, pool_max) = (config.database_url.parsed(), config.database_pool_max.get());
    let opened = connect(url, pool_max, Arc::<DeploymentClock>::default(), Arc::new(SystemEntropy)).await;
    opened.map_err(|error| failure(config, "open the database", &error))
}

/// Opens the database of a server or of a worker process. On SQLite, which belongs to this server alone,
/// applies the pending migrations. On PostgreSQL the caller waits for them ([`pending`]).
pub(crate) async fn open_for_server(config: &Config) -> Outcome<Db> {
    match config.database_url.sqlite_file() {
        Some(_) => Ok(migrate(config).await?.0),
        None => open(config).await,
    }
}

/// Returns how many migrations of this program are not applied. Fails if the database is newer.
pub(crate) async fn pending(config: &Config, db: &Db) -> Outcome<usize> {
    Ok(schema(config, db).await?.pending.len())
}

/// Opens a database that must already be up to date. The short commands use this.
pub(crate) async fn open_current(config: &Config) -> Outcome<Db> {
    let lacks = |count: usize| {
        let all = known_steps().len();
        let what = format!("{count} of the {all} database migrations of this program are not applied");
        Failure::new(Exit::BadDatabase, what, "Run `smallrun migrate up`")
    };
    if is_absent(config) {
        return Err(lacks(known_steps().len()));
    }
    let db = open(config).await?;
    match schema(config, &db).await?.pending.len() {
        0 => on_time(config, db).await,
        count => Err(lacks(count)),
    }
}

/// Returns which migrations are applied. Changes nothing.
pub(crate) async fn status(config: &Config) -> Outcome<MigrationStatus> {
    if is_absent(config) {
        return Ok(MigrationStatus { applied: Vec::new(), pending: known_steps() });
    }
    let db = open(config).await?;
    let schema = schema(config, &db).await;
    close(db).await;
    schema
}

fn is_absent(config: &Config) -> bool {
    config.database_url.sqlite_file().is_some_and(|file| !file.exists())
}

/// Opens the database and applies the pending migrations, printing each. Returns how many were applied.
pub(crate) async fn migrate(config: &Config) -> Outcome<(Db, usize)> {
    let db = open(config).await?;
    check_through(config, &db).await?;
    let session = sole::migration_session(config).await?;
    let connection = session.as_ref().unwrap_or(db.schema_connection());
    let pending = schema(config, &db).await?.pending;
    for name in &pending {
        let step = Step::begin(format!("Applying {name}"));
        apply_next(connection)
            .await
            .map_err(|error| failure(config, "apply the database migrations", &error))?;
        step.done();
    }
    Ok((on_time(config, db).await?, pending.len()))
}

/// How often a migration is tried whose lock another transaction holds.
const LOCK_TRIES: u32 = 60;
/// The wait between two tries, in which the statements that queued behind the migration run.
const LOCK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Applies the next pending migration. On PostgreSQL, a migration that waits for a lock makes all later
/// statements on that table wait as well. The session therefore gives up after a second
/// ([`sole::migration_session`]), and the migration is tried again later.
async fn apply_next(connection: &DatabaseConnection) -> Result<(), DbErr> {
    let mut tries = 1;
    loop {
        match Migrator::up(connection, Some(1)).await {
            Err(error) if words::is_lock_timeout(&error) && tries < LOCK_TRIES => {
                tracing::warn!(tries, "a table is in use; the migration is tried again");
                tries = tries.saturating_add(1);
                tokio::time::sleep(LOCK_AGAIN_AFTER).await;
            }
            ended => return ended,
        }
    }
}

/// Checks the second wall and sets the database's clock to the deployment's time. The schema must be up to
/// date.
pub(crate) async fn on_time(config: &Config, db: Db) -> Outcome<Db> {
    wall::check(config, &db).await?;
    db.refresh_clock().await.map_err(|error| failure(config, "read the clock", &error))?;
    Ok(db)
}

/// Closes the connections. When the last connection to a SQLite file closes, SQLite merges the write-ahead
/// log into the file, so that a copy of the file is complete.
pub(crate) async fn close(db: Db) {
    for connection in [db.reader().clone(), db.schema_connection().clone()] {
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "could not close a database connection");
        }
    }
}

async fn schema(config: &Config, db: &Db) -> Outcome<MigrationStatus> {
    let applied = applied_steps(db.reader())
        .await
        .map_err(|error| failure(config, "read the database's schema", &error))?;
    let known = known_steps();
    if let Some(newer) = applied.iter().find(|name| !known.contains(name)) {
        let what = format!("the database is newer than this program: it has the unknown migration {newer}");
        return Err(Failure::new(
            Exit::BadDatabase,
            what,
            "Use the version of Smallrun that created it, or a later one, or restore a backup",
        ));
    }
    let pending = known.into_iter().filter(|name| !applied.contains(name)).collect();
    Ok(MigrationStatus { applied, pending })
}

fn known_steps() -> Vec<String> {
    Migrator::migrations().iter().map(|step| step.name().to_owned()).collect()
}

/// Returns a sentence about missing migrations, or `None` if all are applied. Migrations can be missing if
/// the database was restored from a backup while the server was running. Migrations of a newer program are
/// ignored, because during an upgrade the old program keeps running.
pub(crate) async fn lack(db: &Db) -> Result<Option<String>, DbErr> {
    let applied = applied_steps(db.reader()).await?;
    let known = known_steps();
    let missing = known.iter().filter(|name| !applied.contains(name)).count();
    let sentence = || {
        format!(
            "{missing} of the {} database migrations of this program are not applied: \
             run `smallrun migrate up`",
            known.len()
        )
    };
    Ok((missing > 0).then(sentence))
}

/// Returns the names of the applied migrations. Does not create the table that lists them.
async fn applied_steps(connection: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    let backend = connection.get_database_backend();
    let table = if backend == DbBackend::Postgres {
        "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1"
    } else {
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1"
    };
    let exists = Statement::from_sql_and_values(backend, table, ["seaql_migrations".into()]);
    if connection.query_one_raw(exists).await?.is_none() {
        return Ok(Vec::new());
    }
    let names = Statement::from_string(backend, "SELECT version FROM seaql_migrations ORDER BY version");
    let rows = connection.query_all_raw(names).await?;
    rows.iter().map(|row| row.try_get::<String>("", "version")).collect()
}

/// Refuses a file that is not a SQLite database, before SQLite writes to it.
fn look_at(path: &Path) -> Outcome {
    match first_bytes(path, 16) {
        Ok(bytes) if bytes.is_empty() || bytes == SQLITE_HEADER => Ok(()),
        Ok(_) => Err(words::damaged(path, "it does not have the header of a SQLite file")),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Failure::writing(path, &cause)),
    }
}

/// Checks a small SQLite file for damage, so that damage is reported at the start and not to a buyer.
async fn check_through(config: &Config, db: &Db) -> Outcome {
    let Some(file) = config.database_url.sqlite_file() else { return Ok(()) };
    let small = std::fs::metadata(file).is_ok_and(|meta| meta.len() <= CHECKED_BYTES_MAX);
    if !small {
        return Ok(());
    }
    let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA quick_check(1)");
    let row = db
        .reader()
        .query_one_raw(check)
        .await
        .map_err(|error| failure(config, "check the database", &error))?;
    let verdict = row.and_then(|row| row.try_get_by_index::<String>(0).ok()).unwrap_or_default();
    if verdict == "ok" { Ok(()) } else { Err(words::damaged(file, &verdict)) }
}
