//! Seals of the audit log: each row gets a position, and each segment of rows a hash that includes the
//! previous segment's hash.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    // Null until the row is sealed. Positions start at 1 and have no gaps.
    let position =
        Table::alter().table("audit").add_column(ColumnDef::new("position").big_integer().null()).to_owned();
    manager.alter_table(position).await?;
    let indexes = [
        // Both indexes are partial, so that a row written during a buyer's request is added to only one of
        // them.
        "CREATE UNIQUE INDEX ix_audit_position ON audit (position) WHERE position IS NOT NULL",
        "CREATE INDEX ix_audit_unsealed ON audit (id) WHERE position IS NULL",
    ];
    for index in indexes {
        manager.get_connection().execute_unprepared(index).await?;
    }

    table("audit_segments")
        // Starts at 1 and has no gaps.
        .bigint("number")
        .bigint("position_first")
        .bigint("position_last")
        // For each row, in the order of positions: its id (16 bytes) and its hash (32 bytes).
        .bytes("row_hashes")
        .flag("drained")
        .at("sealed_at")
        .bytes("previous_head")
        .bytes("head")
        .key(&["number"])
        .create(manager)
        .await
});
