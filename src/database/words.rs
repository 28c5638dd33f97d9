//! Turns database errors into error messages for the operator. Errors are recognised by their codes, never by
//! their text.

use std::path::Path;

use migrations::ROLE_MISSING;
use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, postgres::PgDatabaseError},
};

use crate::{
    config::Config,
    exit::{Exit, Failure},
};

/// SQLite's primary result codes (sqlite.org/rescode.html).
mod sqlite {
    pub(super) const BUSY: u32 = 5;
    pub(super) const READONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const NOTADB: u32 = 26;
}

/// Returns the failure for a damaged SQLite file.
pub(super) fn damaged(path: &Path, how: &str) -> Failure {
    let what = format!("the database `{}` is damaged: {}", path.display(), how.trim().replace('\n', ", "));
    Failure::new(
        Exit::BadDatabase,
        what,
        "Restore it from a backup, or move it away to start with an empty database",
    )
}

/// Returns the failure for a database error. `doing` says what was attempted, such as "open the database".
pub(crate) fn failure(config: &Config, doing: &str, error: &DbErr) -> Failure {
    let database = &config.database_url;
    match sqlx_error(error) {
        Some(sqlx::Error::Database(refusal)) => {
            let code = refusal.code().unwrap_or_default();
            match config.database_url.sqlite_file() {
                Some(file) => of_sqlite(file, &code, refusal.message()),
                None => {
                    let hint = refusal.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::hint);
                    of_postgres(database, &code, refusal.message(), hint)
                }
            }
            .unwrap_or_else(|| Failure::unexpected(doing, error))
        }
        Some(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_)) => {
            let what = format!("the database {database} does not answer: {}", innermost(error));
            Failure::new(Exit::Unavailable, what, "Start the database server, or correct `database_url`")
        }
        Some(sqlx::Error::Configuration(cause)) => {
            let what = format!("`database_url` is not a valid database URL: {cause}");
            Failure::new(
                Exit::BadSetting,
                what,
                "Write it as sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME",
            )
        }
        _ => match error {
            DbErr::ConnectionAcquire(_) => {
                let what = format!("the database {database} does not answer");
                Failure::new(Exit::Unavailable, what, "Start the database server, or correct `database_url`")
            }
            _ => Failure::unexpected(doing, error),
        },
    }
}

fn of_sqlite(path: &Path, code: &str, message: &str) -> Option<Failure> {
    // The lower byte of an extended code is the primary one.
    let primary = code.parse::<u32>().ok()? & 0xff;
    let shown = path.display();
    let failure = match primary {
        sqlite::CORRUPT | sqlite::NOTADB => damaged(path, message),
        sqlite::READONLY | sqlite::CANTOPEN | sqlite::FULL => {
            let what = format!("the database `{shown}` cannot be written: {message}");
            Failure::new(
                Exit::CannotWrite,
                what,
                "Make the file and its folder writable for this user, or choose another with --data",
            )
        }
        sqlite::BUSY => {
            let what = format!("the database `{shown}` is locked by another process");
            Failure::new(Exit::Unavailable, what, "Wait until that process ends, and run this command again")
        }
        _ => return None,
    };
    Some(failure)
}

fn of_postgres(
    database: &crate::config::DatabaseSetting,
    code: &str,
    message: &str,
    hint: Option<&str>,
) -> Option<Failure> {
    // The classes and codes are from appendix A of the PostgreSQL manual.
    let what_to_do = match code {
        "28P01" | "28000" => "Correct the user and the password in `database_url`",
        "3D000" => "Create the database (`createdb`), or correct its name in `database_url`",
        "42501" => "Grant the user the right to create tables in the database",
        ROLE_MISSING => hint?,
        "53300" => "Allow more connections on the server, or lower `database_pool_max`",
        code if code.starts_with("57P") => {
            "Wait until the database server is running, and run this command again"
        }
        code if code.starts_with("XX") => {
            return Some(Failure::new(
                Exit::BadDatabase,
                format_args!("the database {database} is damaged: {message}"),
                "Restore it from a backup",
            ));
        }
        _ => return None,
    };
    Some(Failure::new(
        Exit::Unavailable,
        format_args!("the database {database} refused the connection or the command: {message}"),
        what_to_do,
    ))
}

/// Whether PostgreSQL gave up waiting for a lock: the SQLSTATE `lock_not_available`.
pub(super) fn is_lock_timeout(error: &DbErr) -> bool {
    match sqlx_error(error) {
        Some(sqlx::Error::Database(refusal)) => refusal.code().as_deref() == Some("55P03"),
        _ => false,
    }
}

fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => Some(cause),
        _ => None,
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
