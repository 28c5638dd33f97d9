//! Limits per person for a whole drop and per means of payment, and the minimum size of a run.

use sea_orm_migration::prelude::*;

use crate::columns::migration;

migration!(|manager| {
    // The previous version of the program does not know these columns and works without them.
    let mut per_buyer_max = ColumnDef::new("per_buyer_max");
    per_buyer_max.integer().null();
    // The run is made only if at least this many units are paid for.
    let mut minimum_units = ColumnDef::new("minimum_units");
    minimum_units.integer().null();
    // A hash of the gateway's identifier of the means of payment.
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
