//! Checks that the second wall (row-level security) works. Its role belongs to the PostgreSQL server and not
//! to the database. A database that was restored on another server, or is used by another user, may therefore
//! lack it although all migrations are applied.

use domain::platform::Db;
use migrations::{TENANT_ROLE, make_role};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use super::failure;
use crate::{
    config::Config,
    exit::{Exit, Failure, Outcome},
};

/// Fails the start with a message for the operator if the role is not usable. Otherwise every request of a
/// creator would fail later.
pub(super) async fn check(config: &Config, db: &Db) -> Outcome {
    if db.backend() != DbBackend::Postgres {
        return Ok(());
    }
    let explain = |error: DbErr| failure(config, "check the database role of the tenants", &error);
    make_role(db.schema_connection(), TENANT_ROLE).await.map_err(explain)?;
    let sql = "SELECT row_security_active('creators') AS shut_out, \
               has_table_privilege($1, 'creators', 'SELECT') AS granted";
    let asked = Statement::from_sql_and_values(DbBackend::Postgres, sql, [TENANT_ROLE.into()]);
    let row = db.schema_connection().query_one_raw(asked).await.map_err(explain)?;
    let says = |row: &QueryResult, column: &str| row.try_get::<bool>("", column).map_err(explain);
    let Some(row) = row else { return Ok(()) };
    let refuse = |what: &str, what_to_do: &str| {
        Err(Failure::new(
            Exit::Unavailable,
            format_args!("the database {} {what}", config.database_url),
            what_to_do,
        ))
    };
    if says(&row, "shut_out")? {
        return refuse(
            "hides its rows from this user, because this user does not own the tables",
            "Connect as the user that created the tables",
        );
    }
    if !says(&row, "granted")? {
        let what = format!("was restored without the rights of the role {TENANT_ROLE}");
        return refuse(&what, "Restore the database once more: the role exists now");
    }
    Ok(())
}
