//! The second wall: row-level security on PostgreSQL. SQLite has none, and what is here does nothing there.
//!
//! What is done for a creator runs as the role [`TENANT_ROLE`], with the creator's id in the setting
//! `smallrun.creator` (`domain::platform::db`). That role may do to a table what a migration grants it, and
//! that to the rows that the table's policy names. The owner of the tables passes freely: migrations, the
//! system, what the public reads.
//!
//! A migration that makes a table says where it stands: [`owned`] has a `creator_id`, [`tied`] hangs on a row
//! that has one, [`granted`] holds nobody's rows. A table of which nothing is said is out of a tenant's
//! reach. Grant what operations need and no more; a test lists what is granted, and fails for a table with a
//! `creator_id` that has no policy.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// The role of what is done for a creator. Roles belong to the server, so all its databases share this one.
pub const TENANT_ROLE: &str = "smallrun_tenant";

/// The SQLSTATE of what only the operator can mend; its hint says how. PostgreSQL leaves classes beyond `I`
/// to applications.
pub const ROLE_MISSING: &str = "SR001";

/// The creator whose transaction this is; null, which equals nothing, while none is set. A setting that was
/// set before in a session is empty afterwards, not absent.
pub(crate) const TENANT: &str = "nullif(current_setting('smallrun.creator', true), '')::uuid";

/// Makes the role `name` where it is missing, and lets the user of this connection become it. Does nothing
/// where all is well.
///
/// Databases of one server may do this at the same moment. Ends with the SQLSTATE [`ROLE_MISSING`] where the
/// user may not.
pub async fn make_role(connection: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    connection.execute_unprepared(&MAKE_ROLE.replace("ROLE_NAME", name)).await?;
    Ok(())
}

/// Whoever makes a role, or a member of it, at the same moment as another waits for the other's end and then
/// finds it made (`duplicate_object`, `unique_violation`), or finds the row changed under its hands ("tuple
/// concurrently updated", which has no code but `internal_error`). All of these are over at the next look.
///
/// Whether one may become a role is found out by doing it, because what membership means changed with
/// PostgreSQL 16.
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
            MESSAGE = 'the role ROLE_NAME may pass over row-level security',
            HINT = 'Run as a superuser: `ALTER ROLE ROLE_NAME NOSUPERUSER NOBYPASSRLS`';
    END IF;
END $$";

/// A table with a column that holds the creator's id: a tenant sees and writes its own rows.
pub(crate) async fn owned(
    manager: &SchemaManager<'_>,
    table: &str,
    column: &str,
    grants: &[&str],
) -> Result<(), DbErr> {
    tied(manager, table, &format!("{column} = {TENANT}"), grants).await
}

/// A table whose rows belong to a tenant by what they refer to: those for which `condition` holds. Row-level
/// security applies within the condition too, so that a row which exists there is the tenant's.
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

/// A table that holds nobody's rows, such as the outbox: there is nothing to tell tenants apart by, so grant
/// little.
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
