//! What a reservation writes, with fewer rows, index entries and checks: thousands are written in the seconds
//! after an opening.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::columns::migration;

migration!(|manager| {
    let postgres = manager.get_database_backend() == DbBackend::Postgres;
    // The legal texts that were accepted are a list in the checkout itself: they never change, and nothing
    // looks them up.
    let mut accepted = ColumnDef::new("legal_text_ids");
    accepted.json_binary().not_null().default("[]");
    manager.alter_table(Table::alter().table("checkouts").add_column(accepted).to_owned()).await?;
    let ids = if postgres { "jsonb_agg(legal_text_id ORDER BY legal_text_id)" } else { SQLITE_UUIDS };
    let connection = manager.get_connection();
    let copy = format!(
        "UPDATE checkouts SET legal_text_ids = (SELECT {ids} FROM checkout_legal_texts WHERE checkout_id = checkouts.id) \
         WHERE EXISTS (SELECT 1 FROM checkout_legal_texts WHERE checkout_id = checkouts.id)"
    );
    connection.execute_unprepared(&copy).await?;
    manager.drop_table(Table::drop().table("checkout_legal_texts").to_owned()).await?;
    // A checkout is an account's or a guest's: it has a place in one of the indexes only.
    for buyer in ["account_id", "guest_id"] {
        let name = format!("ix_checkouts_{buyer}_created_at_id");
        manager.drop_index(Index::drop().name(&name).table("checkouts").to_owned()).await?;
        let sql =
            format!("CREATE INDEX {name} ON checkouts ({buyer}, created_at, id) WHERE {buyer} IS NOT NULL");
        connection.execute_unprepared(&sql).await?;
    }
    // What persons have is found by who they are. Found by the item first, as many rows are read as were ever
    // reserved of it, which statistics that are as old as the drop do not know.
    let by_item =
        Index::drop().name("ix_reservations_drop_item_id_person_key").table("reservations").to_owned();
    manager.drop_index(by_item).await?;
    let by_person =
        "CREATE INDEX ix_reservations_person_key_drop_item_id ON reservations (person_key, drop_item_id)";
    connection.execute_unprepared(by_person).await?;
    // One check instead of four, which also says that they go together. SQLite cannot change the keys of a
    // table that is there, and its checks are calls within this process.
    if postgres {
        let sql = "CREATE UNIQUE INDEX ix_drop_items_whole ON drop_items (id, drop_id, creator_id, variant_id);
             ALTER TABLE reservations
                 DROP CONSTRAINT fk_reservations_drop_id, DROP CONSTRAINT fk_reservations_drop_item_id,
                 DROP CONSTRAINT fk_reservations_creator_id, DROP CONSTRAINT fk_reservations_variant_id,
                 ADD CONSTRAINT fk_reservations_item FOREIGN KEY (drop_item_id, drop_id, creator_id, variant_id)
                     REFERENCES drop_items (id, drop_id, creator_id, variant_id)";
        connection.execute_unprepared(sql).await?;
    }
    Ok(())
});

/// UUIDs are sixteen bytes there.
const SQLITE_UUIDS: &str = "json_group_array(lower(substr(hex(legal_text_id), 1, 8) || '-' || substr(hex(legal_text_id), 9, 4) \
     || '-' || substr(hex(legal_text_id), 13, 4) || '-' || substr(hex(legal_text_id), 17, 4) || '-' || \
     substr(hex(legal_text_id), 21)))";
