//! Whether the second wall stands. Its role belongs to PostgreSQL's server and not to the database, so a
//! database that was restored elsewhere, or is used by another user, may lack it although all its steps are
//! applied.

use domain::platform::Db;
use migrations::{TENANT_ROLE, make_role};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement};

use super::failure;
use crate::{
    config::Config,
    exit::{Exit, Failure, Outcome},
};

/// Ends the start with what the operator can do about it, rather than each request of a creator without a
/// word.
pub(super) async fn check(config: &Config, db: &Db) -> Outcome {
    if db.backend() != DbBackend::Postgres {
        return Ok(());
    }
    let explain = |error: DbErr| failure(config, "look at the role of tenants", &error);
    make_role(db.schema_connection(), TENANT_ROLE).await.map_err(explain)?;
    let sql = "SELECT row_security_active('creators') AS shut_out, has_table_privilege($1, 'creators', 'SELECT') AS granted";
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
            "hides its rows from this user, who does not own the tables",
            "Connect as the user that made them",
        );
    }
    if !says(&row, "granted")? {
        let what = format!("was restored without the rights of the role {TENANT_ROLE}");
        return refuse(&what, "The role is here now: restore the database once more");
    }
    Ok(())
}
