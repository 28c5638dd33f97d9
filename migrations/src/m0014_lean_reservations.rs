//! Fewer rows, index entries and checks per reservation, because thousands are written in the seconds after a
//! drop opens.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::columns::migration;

migration!(|manager| {
    let postgres = manager.get_database_backend() == DbBackend::Postgres;
    // The accepted legal texts become a list in the checkout itself, because they never change and nothing
    // looks them up.
    let mut accepted = ColumnDef::new("legal_text_ids");
    accepted.json_binary().not_null().default("[]");
    manager.alter_table(Table::alter().table("checkouts").add_column(accepted).to_owned()).await?;
    let ids = if postgres { "jsonb_agg(legal_text_id ORDER BY legal_text_id)" } else { SQLITE_UUIDS };
    let connection = manager.get_connection();
    let copy = format!(
        "UPDATE checkouts SET legal_text_ids = \
         (SELECT {ids} FROM checkout_legal_texts WHERE checkout_id = checkouts.id) \
         WHERE EXISTS (SELECT 1 FROM checkout_legal_texts WHERE checkout_id = checkouts.id)"
    );
    connection.execute_unprepared(&copy).await?;
    manager.drop_table(Table::drop().table("checkout_legal_texts").to_owned()).await?;
    // A checkout belongs to an account or to a guest, so it is in only one of the two partial indexes.
    for buyer in ["account_id", "guest_id"] {
        let name = format!("ix_checkouts_{buyer}_created_at_id");
        manager.drop_index(Index::drop().name(&name).table("checkouts").to_owned()).await?;
        let sql =
            format!("CREATE INDEX {name} ON checkouts ({buyer}, created_at, id) WHERE {buyer} IS NOT NULL");
        connection.execute_unprepared(&sql).await?;
    }
    // The reservations of a person are looked up by the person first. An index with the item first would read
    // all rows ever reserved of the item. The planner's statistics of a new drop do not show how many those
    // are.
    let by_item =
        Index::drop().name("ix_reservations_drop_item_id_person_key").table("reservations").to_owned();
    manager.drop_index(by_item).await?;
    let by_person =
        "CREATE INDEX ix_reservations_person_key_drop_item_id ON reservations (person_key, drop_item_id)";
    connection.execute_unprepared(by_person).await?;
    // One foreign key replaces four. It also ensures that the four ids belong together. SQLite cannot change
    // the keys of an existing table, and checks them within this process anyway.
    if postgres {
        let sql =
            "CREATE UNIQUE INDEX ix_drop_items_whole ON drop_items (id, drop_id, creator_id, variant_id);
             ALTER TABLE reservations
                 DROP CONSTRAINT fk_reservations_drop_id, DROP CONSTRAINT fk_reservations_drop_item_id,
                 DROP CONSTRAINT fk_reservations_creator_id, DROP CONSTRAINT fk_reservations_variant_id,
                 ADD CONSTRAINT fk_reservations_item
                     FOREIGN KEY (drop_item_id, drop_id, creator_id, variant_id)
                     REFERENCES drop_items (id, drop_id, creator_id, variant_id)";
        connection.execute_unprepared(sql).await?;
    }
    Ok(())
});

/// The SQL that formats UUIDs as text on SQLite, which stores them as 16 bytes.
const SQLITE_UUIDS: &str = "json_group_array(lower(\
     substr(hex(legal_text_id), 1, 8) || '-' || substr(hex(legal_text_id), 9, 4) \
     || '-' || substr(hex(legal_text_id), 13, 4) || '-' || substr(hex(legal_text_id), 17, 4) || '-' || \
     substr(hex(legal_text_id), 21)))";
