//! The places where buyers pick up their goods, which of them a drop offers, and which one a reservation
//! chose.

use sea_orm_migration::prelude::*;

use crate::{
    columns::{migration, table},
    wall,
};

migration!(|manager| {
    table("pickup_places")
        .id()
        .of("creator_id", "creators")
        .text("name")
        .text("line1")
        .text_or_null("line2")
        .text_or_null("postal_code")
        .text("city")
        .text("country")
        .text_or_null("hours")
        .text_or_null("note")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .at_or_null("archived_at")
        .index(&["creator_id", "created_at", "id"])
        .create(manager)
        .await?;
    table("drop_pickup_places")
        .of("drop_id", "drops")
        .of("pickup_place_id", "pickup_places")
        .integer("position")
        .key(&["drop_id", "pickup_place_id"])
        .index(&["pickup_place_id"])
        .create(manager)
        .await?;
    wall::owned(manager, "pickup_places", "creator_id", &["SELECT", "INSERT", "UPDATE"]).await?;
    let own_drop_and_place = "EXISTS (SELECT FROM drops WHERE drops.id = drop_pickup_places.drop_id) \
         AND EXISTS (SELECT FROM pickup_places WHERE pickup_places.id = drop_pickup_places.pickup_place_id)";
    wall::tied(manager, "drop_pickup_places", own_drop_and_place, &["SELECT", "INSERT", "DELETE"]).await?;
    // There is no foreign key, because thousands of reservations are written in the seconds after a drop
    // opens, and places are never deleted. The column is null for goods that are shipped, and for drops from
    // before there were places.
    let mut place = ColumnDef::new("pickup_place_id");
    place.uuid().null();
    manager.alter_table(Table::alter().table("reservations").add_column(place).to_owned()).await
});
