//! The audit log is sealed: rows get a position, and segments of them a hash that stands on the one before.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    // Null until the row is sealed; then from 1, without gaps.
    let position =
        Table::alter().table("audit").add_column(ColumnDef::new("position").big_integer().null()).to_owned();
    manager.alter_table(position).await?;
    let indexes = [
        // Both are partial: a row that is being written, as part of a buyer's request, goes into one of them
        // only.
        "CREATE UNIQUE INDEX ix_audit_position ON audit (position) WHERE position IS NOT NULL",
        "CREATE INDEX ix_audit_unsealed ON audit (id) WHERE position IS NULL",
    ];
    for index in indexes {
        manager.get_connection().execute_unprepared(index).await?;
    }

    table("audit_segments")
        // From 1, without gaps.
        .bigint("number")
        .bigint("position_first")
        .bigint("position_last")
        // Of each row in the order of positions: its id (16 bytes) and its hash (32 bytes).
        .bytes("row_hashes")
        .flag("drained")
        .at("sealed_at")
        .bytes("previous_head")
        .bytes("head")
        .key(&["number"])
        .create(manager)
        .await
});
