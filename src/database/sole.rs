//! Ensures that only one server runs on a database when the embedded bus is used. Each of two servers would
//! assume that it sees every change. On SQLite this is a file lock, on PostgreSQL an advisory lock.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    time::Duration,
};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement};
use tokio::sync::oneshot;

use super::failure;
use crate::{
    config::Config,
    exit::{Exit, Failure, Outcome},
};

/// The key of the advisory lock on PostgreSQL. Advisory locks are per database.
const SERVER_LOCK: i64 = 0x736d_6c72_0002;
/// The key of the advisory lock that prevents two processes from applying the same migration.
const MIGRATION_LOCK: i64 = 0x736d_6c72_0001;
/// How long to wait for a connection to the database.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(8);
/// How often to check the session that holds the PostgreSQL lock.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// The lock that a running server holds. It is released when this value is dropped, and by the system when
/// the process ends.
pub(crate) struct SoleServer {
    _held: HeldLock,
    /// Receives a message when another server has taken the lock.
    lost: Option<oneshot::Receiver<()>>,
}

enum HeldLock {
    File(#[expect(dead_code, reason = "the lock lives as long as the open file")] File),
    Nothing,
    Session(
        #[expect(dead_code, reason = "the lock lives as long as the watched session")]
        tokio_util::task::AbortOnDropHandle<()>,
    ),
}

impl SoleServer {
    /// Returns a value that holds no lock. With a broker, any number of servers may run.
    pub(crate) fn one_of_many() -> Self {
        Self { _held: HeldLock::Nothing, lost: None }
    }

    /// Takes the lock, or fails if another server holds it.
    pub(crate) async fn take(config: &Config) -> Outcome<Self> {
        match config.database_url.sqlite_file() {
            Some(file) => take_file(file),
            None => take_session(config).await,
        }
    }

    /// Waits until the lock is lost. This happens only if the PostgreSQL session breaks and another server
    /// takes the lock first.
    pub(crate) async fn lost(&mut self) {
        match &mut self.lost {
            Some(lost) => {
                let _lost_or_watcher_gone = lost.await;
            }
            None => std::future::pending().await,
        }
    }
}

fn take_file(database: &Path) -> Outcome<SoleServer> {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".serve-lock");
    let path = database.with_file_name(name);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|cause| Failure::writing(folder, &cause))?;
    }
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|cause| Failure::writing(&path, &cause))?;
    match file.try_lock() {
        Ok(()) => Ok(SoleServer { _held: HeldLock::File(file), lost: None }),
        Err(TryLockError::WouldBlock) => Err(taken(format_args!("`{}`", database.display()))),
        Err(TryLockError::Error(cause)) => Err(Failure::writing(&path, &cause)),
    }
}

fn taken(database: impl std::fmt::Display) -> Failure {
    let what = format!("another `smallrun serve` is already running on the database {database}");
    Failure::new(
        Exit::Unavailable,
        what,
        "Stop it first, or choose another database; the commands `admin` and `demo` can run next to it",
    )
}

async fn take_session(config: &Config) -> Outcome<SoleServer> {
    let explain = |error: DbErr| failure(config, "take the server lock", &error);
    let connection = one_session(config).await.map_err(explain)?;
    if !lock(&connection).await.map_err(explain)? {
        return Err(taken(&config.database_url));
    }
    let mut session = session_of(&connection).await.map_err(explain)?;
    let (tell, lost) = oneshot::channel();
    let watch = tokio::spawn(async move {
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            match session_of(&connection).await {
                Ok(same) if same == session => {}
                // The session broke and the pool opened a new one, so the lock must be taken again.
                Ok(new) => match lock(&connection).await {
                    Ok(true) => session = new,
                    Ok(false) => break,
                    Err(error) => tracing::warn!(%error, "could not take the server lock again; retrying"),
                },
                Err(error) => {
                    tracing::warn!(%error, "the session with the server lock does not answer; retrying")
                }
            }
        }
        let _server_stops = tell.send(());
    });
    let held = HeldLock::Session(tokio_util::task::AbortOnDropHandle::new(watch));
    Ok(SoleServer { _held: held, lost: Some(lost) })
}

/// Opens the session that changes the PostgreSQL schema, and waits for the lock on such changes, which the
/// session holds until it is dropped. In this session a statement waits for a table for one second at most.
/// SQLite has only one writer and needs no such session.
pub(super) async fn migration_session(config: &Config) -> Outcome<Option<DatabaseConnection>> {
    if config.database_url.sqlite_file().is_some() {
        return Ok(None);
    }
    let explain = |error: DbErr| failure(config, "take the migration lock", &error);
    let connection = one_session(config).await.map_err(explain)?;
    let lock = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT pg_advisory_lock($1)",
        [MIGRATION_LOCK.into()],
    );
    connection.query_one_raw(lock).await.map_err(explain)?;
    connection.execute_unprepared("SET lock_timeout = '1s'").await.map_err(explain)?;
    Ok(Some(connection))
}

/// Opens a single connection that the pool never replaces by itself, because a lock belongs to its session.
async fn one_session(config: &Config) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(config.database_url.expose().to_owned());
    options
        .min_connections(1)
        .max_connections(1)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>);
    options.connect_timeout(CONNECT_TIMEOUT).acquire_timeout(CONNECT_TIMEOUT).sqlx_logging(false);
    Database::connect(options).await
}

async fn lock(connection: &DatabaseConnection) -> Result<bool, DbErr> {
    let sql = "SELECT pg_try_advisory_lock($1) AS taken";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [SERVER_LOCK.into()]);
    let row = connection.query_one_raw(statement).await?;
    row.map_or(Ok(false), |row| row.try_get("", "taken"))
}

async fn session_of(connection: &DatabaseConnection) -> Result<i32, DbErr> {
    let statement = Statement::from_string(DbBackend::Postgres, "SELECT pg_backend_pid() AS pid");
    let row = connection.query_one_raw(statement).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("pg_backend_pid".to_owned()))?.try_get("", "pid")
}
