//! The second wall: row-level security on PostgreSQL. SQLite has none, so these functions do nothing there.
//!
//! Work for a creator runs as the role [`TENANT_ROLE`], with the creator's id in the setting
//! `smallrun.creator` (`domain::platform::db`). The role has only the rights that a migration grants it on a
//! table, and only for the rows that the table's policy admits. The owner of the tables is not restricted; it
//! runs the migrations, the system's work, and the reads of the public.
//!
//! A migration that creates a table places it with one of these functions:
//!
//! - [`owned`]: the table has a `creator_id`.
//! - [`tied`]: the rows reference a row with a `creator_id`.
//! - [`granted`]: the rows belong to no tenant.
//!
//! Tenants cannot reach a table that is not placed. Grant only the rights that operations need. A test lists
//! the grants, and fails if a table with a `creator_id` has no policy.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// The database role for work in a creator's scope. Roles belong to the server, so all its databases share
/// this one.
pub const TENANT_ROLE: &str = "smallrun_tenant";

/// The SQLSTATE of errors of the role that only the operator can fix; the error's hint says how. PostgreSQL
/// leaves the classes after `I` to applications.
pub const ROLE_MISSING: &str = "SR001";

/// The SQL expression for the creator of the current transaction. It is null, which equals nothing, if no
/// creator is set. A setting that was set earlier in a session becomes empty afterwards, not absent.
pub(crate) const TENANT: &str = "nullif(current_setting('smallrun.creator', true), '')::uuid";

/// Creates the role `name` if it is missing, and allows the user of this connection to become it. Does
/// nothing if both are already so.
///
/// Several databases of one server can do this at the same time. Fails with the SQLSTATE [`ROLE_MISSING`] if
/// the user lacks the rights.
pub async fn make_role(connection: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    connection.execute_unprepared(&MAKE_ROLE.replace("ROLE_NAME", name)).await?;
    Ok(())
}

/// The SQL of [`make_role`]. When two transactions create a role or a membership at the same time, one waits
/// for the other. It then fails because the role exists (`duplicate_object`, `unique_violation`) or because
/// the row has changed ("tuple concurrently updated", which only has the code `internal_error`). A retry
/// succeeds in all these cases.
///
/// The SQL finds out whether the user can become the role by trying it, because PostgreSQL 16 changed the
/// meaning of membership.
const MAKE_ROLE: &str = "DO $$
DECLARE
    before text := current_setting('role');
BEGIN
    FOR attempt IN 1..10 LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ROLE_NAME') THEN
                CREATE ROLE ROLE_NAME NOLOGIN NOSUPERUSER NOBYPASSRLS;
            END IF;
            BEGIN
                PERFORM set_config('role', 'ROLE_NAME', true);
            EXCEPTION WHEN insufficient_privilege THEN
                EXECUTE format('GRANT ROLE_NAME TO %I', session_user);
                PERFORM set_config('role', 'ROLE_NAME', true);
            END;
            PERFORM set_config('role', before, true);
            EXIT;
        EXCEPTION
            WHEN duplicate_object OR unique_violation OR internal_error THEN
                IF attempt = 10 THEN RAISE; END IF;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION USING
                    ERRCODE = 'SR001',
                    MESSAGE = format('the user %s cannot act as the role ROLE_NAME', session_user),
                    HINT = format('Run as a superuser: `%sGRANT ROLE_NAME TO %I`',
                        CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'ROLE_NAME') THEN ''
                            ELSE 'CREATE ROLE ROLE_NAME NOLOGIN; ' END,
                        session_user);
        END;
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'ROLE_NAME' AND (rolsuper OR rolbypassrls)) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'SR001',
            MESSAGE = 'the role ROLE_NAME can bypass row-level security',
            HINT = 'Run as a superuser: `ALTER ROLE ROLE_NAME NOSUPERUSER NOBYPASSRLS`';
    END IF;
END $$";

/// Places a table with a column that holds the creator's id: a tenant sees and writes only its own rows.
pub(crate) async fn owned(
    manager: &SchemaManager<'_>,
    table: &str,
    column: &str,
    grants: &[&str],
) -> Result<(), DbErr> {
    tied(manager, table, &format!("{column} = {TENANT}"), grants).await
}

/// Places a table whose rows belong to a tenant through the rows that they reference: those that satisfy
/// `condition`. Row-level security applies within the condition as well, so a row that exists there belongs
/// to the tenant.
pub(crate) async fn tied(
    manager: &SchemaManager<'_>,
    table: &str,
    condition: &str,
    grants: &[&str],
) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let connection = manager.get_connection();
    connection.execute_unprepared(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")).await?;
    let policy = format!(
        "CREATE POLICY tenant ON {table} TO {TENANT_ROLE} USING ({condition}) WITH CHECK ({condition})"
    );
    connection.execute_unprepared(&policy).await?;
    granted(manager, table, grants).await
}

/// Places a table whose rows belong to no tenant, such as the outbox. Grant as little as possible, because
/// its rows cannot be told apart by tenant.
pub(crate) async fn granted(manager: &SchemaManager<'_>, table: &str, grants: &[&str]) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres || grants.is_empty() {
        return Ok(());
    }
    let grants = grants.join(", ");
    manager
        .get_connection()
        .execute_unprepared(&format!("GRANT {grants} ON {table} TO {TENANT_ROLE}"))
        .await?;
    Ok(())
}
