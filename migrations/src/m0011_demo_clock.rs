//! The clock of a demo: how far it is set forward. The row exists only in a demo deployment.

use sea_orm_migration::prelude::*;

use crate::{
    columns::{migration, table},
    wall,
};

migration!(|manager| {
    table("demo_clock")
        .integer("id")
        .bigint("offset_micros")
        .check("id = 1 AND offset_micros >= 0")
        .key(&["id"])
        .create(manager)
        .await?;
    // Operations in a creator's scope need the current time as well.
    wall::granted(manager, "demo_clock", &["SELECT"]).await
});
