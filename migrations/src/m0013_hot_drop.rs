//! Limits of one person over a whole drop and by what they pay with, and the smallest run that is made.

use sea_orm_migration::prelude::*;

use crate::columns::migration;

migration!(|manager| {
    // Programs of the version before know neither column, and need not.
    let mut per_buyer_max = ColumnDef::new("per_buyer_max");
    per_buyer_max.integer().null();
    // So many units must be paid for, or the run is not made.
    let mut minimum_units = ColumnDef::new("minimum_units");
    minimum_units.integer().null();
    // A hash of what the gateway knows the means of payment by.
    let mut fingerprint = ColumnDef::new("fingerprint");
    fingerprint.binary().null();
    for (table, column) in [("drops", per_buyer_max), ("drops", minimum_units), ("payments", fingerprint)] {
        manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
    }
    let by_means =
        "CREATE INDEX ix_payments_fingerprint ON payments (fingerprint) WHERE fingerprint IS NOT NULL";
    manager.get_connection().execute_unprepared(by_means).await?;
    Ok(())
});
