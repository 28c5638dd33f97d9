//! The database of this process: looked at, locked, brought up to date, opened; and its failures in words.
//!
//! [`clock`] keeps to the deployment's time; [`sole`] keeps a second server away where only one may run;
//! [`wall`] looks after the role of tenants; [`words`] turns errors into sentences; [`pools`] tells how busy
//! the connections are.

mod clock;
pub(crate) mod pools;
mod sole;
mod wall;
mod words;

use std::{path::Path, sync::Arc};

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

/// What every SQLite database file begins with (sqlite.org/fileformat.html, section 1.3).
const SQLITE_HEADER: &[u8] = b"SQLite format 3\0";
/// A file up to this size is checked through at the start: a second at most.
const CHECKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Which steps of the schema are applied, and which are not yet.
pub(crate) struct Schema {
    pub(crate) applied: Vec<String>,
    pub(crate) pending: Vec<String>,
}

/// Opens the database; SQLite's file and its folder are made when they are missing.
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

/// Opens a database that must be up to date already: for the short commands.
pub(crate) async fn open_current(config: &Config) -> Outcome<Db> {
    let lacks = |count: usize| {
        let what = format!("the database lacks {count} of this program's {} steps", known_steps().len());
        Failure::new(Exit::BadDatabase, what, "Run `smallrun migrate up`, or start `smallrun serve` once")
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

/// Which steps are applied. Changes nothing.
pub(crate) async fn status(config: &Config) -> Outcome<Schema> {
    if is_absent(config) {
        return Ok(Schema { applied: Vec::new(), pending: known_steps() });
    }
    let db = open(config).await?;
    let schema = schema(config, &db).await;
    close(db).await;
    schema
}

fn is_absent(config: &Config) -> bool {
    config.database_url.sqlite_file().is_some_and(|file| !file.exists())
}

/// Opens the database and applies what is missing, telling each step; answers how many were applied.
pub(crate) async fn migrate(config: &Config) -> Outcome<(Db, usize)> {
    let explain = |error: DbErr| failure(config, "bring the database up to date", &error);
    let db = open(config).await?;
    check_through(config, &db).await?;
    let _held_until_done = sole::migration_lock(config).await?;
    let pending = schema(config, &db).await?.pending;
    for name in &pending {
        let step = Step::begin(format!("Applying {name}"));
        Migrator::up(db.schema_connection(), Some(1)).await.map_err(explain)?;
        step.done();
    }
    Ok((on_time(config, db).await?, pending.len()))
}

/// The database behind its second wall, and with the time that its deployment has.
async fn on_time(config: &Config, db: Db) -> Outcome<Db> {
    wall::check(config, &db).await?;
    db.refresh_clock().await.map_err(|error| failure(config, "read the clock", &error))?;
    Ok(db)
}

/// Closes the connections. The last one to a SQLite file folds its log into it, so that a copy of the file is
/// whole.
pub(crate) async fn close(db: Db) {
    for connection in [db.reader().clone(), db.schema_connection().clone()] {
        if let Err(error) = connection.close().await {
            tracing::warn!(%error, "a connection to the database could not be closed");
        }
    }
}

async fn schema(config: &Config, db: &Db) -> Outcome<Schema> {
    let applied = applied_steps(db.reader())
        .await
        .map_err(|error| failure(config, "read the database's schema", &error))?;
    let known = known_steps();
    if let Some(newer) = applied.iter().find(|name| !known.contains(name)) {
        let what = format!("the database is newer than this program: it has the step {newer}");
        return Err(Failure::new(
            Exit::BadDatabase,
            what,
            "Start a program of that version or later, or restore a backup",
        ));
    }
    let pending = known.into_iter().filter(|name| !applied.contains(name)).collect();
    Ok(Schema { applied, pending })
}

fn known_steps() -> Vec<String> {
    Migrator::migrations().iter().map(|step| step.name().to_owned()).collect()
}

/// What the database lacks of this program's steps, in a sentence; `None` when nothing. One that was restored
/// from a backup under a running server may lack some. Steps of a newer program are no lack: during an
/// upgrade the old one goes on.
pub(crate) async fn lack(db: &Db) -> Result<Option<String>, DbErr> {
    let applied = applied_steps(db.reader()).await?;
    let known = known_steps();
    let missing = known.iter().filter(|name| !applied.contains(name)).count();
    let sentence = || {
        format!(
            "the database lacks {missing} of this program's {} steps: run `smallrun migrate up`",
            known.len()
        )
    };
    Ok((missing > 0).then(sentence))
}

/// Names of the applied steps, without making the table that lists them.
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

/// Refuses a file that is no SQLite database, before SQLite writes to it.
fn look_at(path: &Path) -> Outcome {
    match first_bytes(path, 16) {
        Ok(bytes) if bytes.is_empty() || bytes == SQLITE_HEADER => Ok(()),
        Ok(_) => Err(words::damaged(path, "it does not begin as SQLite's files do")),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(Failure::writing(path, &cause)),
    }
}

/// Reads a small SQLite file through, so that damage is told at the start and not to a buyer.
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
