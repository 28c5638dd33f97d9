//! Opens the database: for SQLite one writer and several readers, for PostgreSQL one pool.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbErr,
    sqlx::{
        postgres::PgConnectOptions,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};

use super::{clock::Clock, db::Db, entropy::Entropy};

/// How long a request waits for a free connection, or for the single SQLite writer.
const ACQUIRE_SECS: u64 = 30;
/// The prepared statements that a PostgreSQL connection caches. The limit is above the number of statement
/// texts, including those that differ only in the length of a list.
const STATEMENTS_KEPT: usize = 1_000;
/// How long a SQLite statement waits for another process, such as a short command that runs beside the
/// server.
const BUSY_SECS: u64 = 10;
/// The size of SQLite's memory map: pages within it are read from the system's page cache without a copy. The
/// whole file of a marketplace usually fits. A larger map costs only address space.
const MMAP_BYTES: &str = "268435456";

/// The location of the database.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(DatabaseLocation);

#[derive(Clone, PartialEq, Eq)]
enum DatabaseLocation {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Why a text does not name a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// The scheme is missing or unknown.
    #[error("a database URL begins with `sqlite://` (and a file) or `postgres://` (and a server)")]
    UnknownScheme,
    /// The file is missing after `sqlite://`.
    #[error("`sqlite://` needs a file, such as `sqlite://data/smallrun.db`")]
    NoFile,
    /// An in-memory database was requested. It is refused because each connection would have its own.
    #[error("a database in memory is not possible: name a file, such as `sqlite://data/smallrun.db`")]
    InMemory,
    /// A `sqlite://` URL has options after `?`.
    #[error("a `sqlite://` URL takes no options after `?`")]
    SqliteOptions,
    /// The PostgreSQL URL cannot be parsed.
    #[error("this is not a PostgreSQL URL: it has the form `postgres://user:password@host:5432/database`")]
    Malformed,
}

impl DatabaseUrl {
    /// Names a SQLite database in this file.
    pub fn sqlite(file: impl Into<PathBuf>) -> Self {
        Self(DatabaseLocation::Sqlite(file.into()))
    }

    /// Returns the file of a SQLite database.
    pub fn sqlite_file(&self) -> Option<&Path> {
        match &self.0 {
            DatabaseLocation::Sqlite(file) => Some(file),
            DatabaseLocation::Postgres(_) => None,
        }
    }

    /// Returns whether the database is PostgreSQL, which several processes can share.
    pub fn is_postgres(&self) -> bool {
        matches!(self.0, DatabaseLocation::Postgres(_))
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        if let Some(file) = text.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            return match file {
                "" => Err(DatabaseUrlError::NoFile),
                ":memory:" => Err(DatabaseUrlError::InMemory),
                file if file.contains('?') => Err(DatabaseUrlError::SqliteOptions),
                file => Ok(Self::sqlite(file)),
            };
        }
        let server = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let url = format!("postgres://{}", server.ok_or(DatabaseUrlError::UnknownScheme)?);
        match PgConnectOptions::from_str(&url) {
            Ok(_) => Ok(Self(DatabaseLocation::Postgres(url))),
            Err(_) => Err(DatabaseUrlError::Malformed),
        }
    }
}

/// Writes the URL without its password, for terminals and logs.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DatabaseLocation::Sqlite(file) => write!(f, "sqlite://{}", file.display()),
            DatabaseLocation::Postgres(url) => {
                // The options after `?` may contain a password too.
                let url = url.split('?').next().unwrap_or_default();
                let server = url.strip_prefix("postgres://").unwrap_or_default();
                match server.rsplit_once('@') {
                    Some((user, host)) => match user.split_once(':') {
                        Some((user, _)) => write!(f, "postgres://{user}:***@{host}"),
                        None => write!(f, "postgres://{user}@{host}"),
                    },
                    None => write!(f, "postgres://{server}"),
                }
            }
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Opens the database with at most `pool_max` connections for reading; on PostgreSQL they are for writing
/// too. A missing SQLite file is created; its folder must exist.
pub async fn connect(
    url: &DatabaseUrl,
    pool_max: u32,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Db, DbErr> {
    let pool_max = pool_max.max(1);
    match &url.0 {
        DatabaseLocation::Sqlite(file) => {
            // The writer opens first: it creates the file and switches it to the write-ahead log.
            let writer = open_sqlite(file, ConnectionMode::Write).await?;
            let readers = open_sqlite(file, ConnectionMode::Read { pool_max }).await?;
            Ok(Db::new(writer, readers, clock, entropy))
        }
        DatabaseLocation::Postgres(url) => {
            let pool = open_postgres(url, pool_max).await?;
            Ok(Db::new(pool.clone(), pool, clock, entropy))
        }
    }
}

#[derive(Clone, Copy)]
enum ConnectionMode {
    Write,
    Read { pool_max: u32 },
}

async fn open_sqlite(file: &Path, access: ConnectionMode) -> Result<DatabaseConnection, DbErr> {
    let mut options = quiet("sqlite://".to_owned());
    let (connections, query_only) = match access {
        ConnectionMode::Write => (1, "false"),
        ConnectionMode::Read { pool_max } => (pool_max, "true"),
    };
    options.max_connections(connections).min_connections(1);
    // A connection to a file does not go stale, and closing the last connection would trigger a checkpoint of
    // the write-ahead log.
    options.test_before_acquire(false).idle_timeout(None).max_lifetime(None);
    let file = file.to_owned();
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With the write-ahead log, NORMAL can lose the last commits in a power failure, after a buyer
            // was told that they succeeded.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(BUSY_SECS))
            .foreign_keys(true)
            .pragma("mmap_size", MMAP_BYTES)
            .pragma("query_only", query_only)
    });
    Database::connect(options).await
}

async fn open_postgres(url: &str, pool_max: u32) -> Result<DatabaseConnection, DbErr> {
    let mut options = quiet(url.to_owned());
    options.max_connections(pool_max);
    options.map_sqlx_postgres_opts(|options| {
        // A lock that is not granted in time becomes an error instead of a queue of waiting requests. A
        // process that stalls within a transaction does not keep its locks forever.
        let options = options.application_name("smallrun").statement_cache_capacity(STATEMENTS_KEPT);
        options.options([("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "60s")])
    });
    Database::connect(options).await
}

/// Returns options that neither log statements nor record them in spans, because statements contain e-mail
/// addresses.
fn quiet(url: String) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .acquire_timeout(Duration::from_secs(ACQUIRE_SECS));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_shown_without_their_password() {
        for (text, shown) in [
            ("sqlite://data/smallrun.db", "sqlite://data/smallrun.db"),
            ("sqlite:///srv/smallrun.db", "sqlite:///srv/smallrun.db"),
            ("sqlite:./x.db", "sqlite://./x.db"),
            ("postgres://me@127.0.0.1:5432/shop", "postgres://me@127.0.0.1:5432/shop"),
            ("postgres://me:se@cret@db.example/shop?password=x", "postgres://me:***@db.example/shop"),
            ("postgresql://db.example/shop", "postgres://db.example/shop"),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_with_its_reason() {
        for (text, error) in [
            ("", DatabaseUrlError::UnknownScheme),
            ("data/smallrun.db", DatabaseUrlError::UnknownScheme),
            ("mysql://x", DatabaseUrlError::UnknownScheme),
            ("sqlite://", DatabaseUrlError::NoFile),
            ("sqlite::memory:", DatabaseUrlError::InMemory),
            ("sqlite://x.db?mode=ro", DatabaseUrlError::SqliteOptions),
            ("postgres://host:port/x", DatabaseUrlError::Malformed),
        ] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(error), "{text}");
        }
    }
}
