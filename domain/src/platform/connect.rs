//! Opens the database: SQLite as one writer and several readers, PostgreSQL as one pool.

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

/// How long a request waits for a free connection, or for the one SQLite writer.
const ACQUIRE_SECS: u64 = 30;
/// How many statements a PostgreSQL connection keeps prepared: more than there are texts, lists of several
/// lengths included.
const STATEMENTS_KEPT: usize = 1_000;
/// How long a SQLite statement waits for another process: a short command beside the server.
const BUSY_SECS: u64 = 10;
/// Pages that SQLite reads from the page cache of the system instead of copying them: a marketplace's
/// whole file usually fits. More is taken from the address space only.
const MMAP_BYTES: &str = "268435456";

/// Where the records are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Place);

#[derive(Clone, PartialEq, Eq)]
enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Why a text does not name a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// Another scheme, or none.
    #[error("a database URL begins with `sqlite://` (and a file) or `postgres://` (and a server)")]
    UnknownScheme,
    /// `sqlite://` and nothing after it.
    #[error("`sqlite://` needs a file, such as `sqlite://data/smallrun.db`")]
    NoFile,
    /// An in-memory database: each connection would have its own.
    #[error("a database in memory is not possible: name a file, such as `sqlite://data/smallrun.db`")]
    InMemory,
    /// `?` in a `sqlite://` URL.
    #[error("a `sqlite://` URL takes no options after `?`")]
    SqliteOptions,
    /// A PostgreSQL URL that cannot be read.
    #[error("this is not a PostgreSQL URL: it has the form `postgres://user:password@host:5432/database`")]
    Malformed,
}

impl DatabaseUrl {
    /// A SQLite database in that file.
    pub fn sqlite(file: impl Into<PathBuf>) -> Self {
        Self(Place::Sqlite(file.into()))
    }

    /// The file, when it is SQLite.
    pub fn sqlite_file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(file) => Some(file),
            Place::Postgres(_) => None,
        }
    }

    /// Whether several processes may serve from it.
    pub fn is_postgres(&self) -> bool {
        matches!(self.0, Place::Postgres(_))
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
            Ok(_) => Ok(Self(Place::Postgres(url))),
            Err(_) => Err(DatabaseUrlError::Malformed),
        }
    }
}

/// The URL without its password, for terminals and logs.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(file) => write!(f, "sqlite://{}", file.display()),
            Place::Postgres(url) => {
                // Options after `?` may hold a password too.
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

/// Opens the database with at most `pool_max` connections for reading (on PostgreSQL: for everything).
/// A SQLite file is made when it is absent; its folder is not.
pub async fn connect(
    url: &DatabaseUrl,
    pool_max: u32,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Db, DbErr> {
    let pool_max = pool_max.max(1);
    match &url.0 {
        Place::Sqlite(file) => {
            // The writer first: it makes the file and switches it to the write-ahead log.
            let writer = open_sqlite(file, Access::Write).await?;
            let readers = open_sqlite(file, Access::Read { pool_max }).await?;
            Ok(Db::new(writer, readers, clock, entropy))
        }
        Place::Postgres(url) => {
            let pool = open_postgres(url, pool_max).await?;
            Ok(Db::new(pool.clone(), pool, clock, entropy))
        }
    }
}

#[derive(Clone, Copy)]
enum Access {
    Write,
    Read { pool_max: u32 },
}

async fn open_sqlite(file: &Path, access: Access) -> Result<DatabaseConnection, DbErr> {
    let mut options = quiet("sqlite://".to_owned());
    let (connections, query_only) = match access {
        Access::Write => (1, "false"),
        Access::Read { pool_max } => (pool_max, "true"),
    };
    options.max_connections(connections).min_connections(1);
    // A connection to a file does not go stale, and the last one to close would fold the log into the file.
    options.test_before_acquire(false).idle_timeout(None).max_lifetime(None);
    let file = file.to_owned();
    options.map_sqlx_sqlite_opts(move |options| {
        options
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With the write-ahead log NORMAL forgets the last commits when the power fails; a buyer was told
            // of them.
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
        // A lock that is not granted in time becomes an error instead of a queue of waiting requests, and a
        // process that stopped within a transaction does not keep its locks for ever.
        let options = options.application_name("smallrun").statement_cache_capacity(STATEMENTS_KEPT);
        options.options([("lock_timeout", "10s"), ("idle_in_transaction_session_timeout", "60s")])
    });
    Database::connect(options).await
}

/// Statements carry addresses: they are neither logged nor recorded in spans.
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
    fn what_is_not_a_database_is_refused_with_its_reason() {
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
