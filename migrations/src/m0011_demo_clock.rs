//! The clock of a demo: how far it is set forward. The row exists in a demo deployment only.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::columns::{migration, table};

migration!(|manager| {
    table("demo_clock")
        .integer("id")
        .bigint("offset_micros")
        .check("id = 1 AND offset_micros >= 0")
        .key(&["id"])
        .create(manager)
        .await?;
    if manager.get_database_backend() == DbBackend::Postgres {
        // What time it is concerns every role that decides something.
        manager.get_connection().execute_unprepared("GRANT SELECT ON demo_clock TO PUBLIC").await?;
    }
    Ok(())
});
