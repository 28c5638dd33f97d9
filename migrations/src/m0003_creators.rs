//! Creators (the tenants) and their members.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    table("creators")
        .id()
        .text("slug")
        .text("name")
        .text("tagline")
        .text("place")
        .text("country")
        .text("time_zone")
        .text("currency")
        .flag("prices_include_tax")
        .text("story_markdown")
        .text("story_html")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .unique(&["slug"])
        .index(&["created_at", "id"])
        .index(&["name", "id"])
        .create(manager)
        .await?;

    table("creator_members")
        .of("creator_id", "creators")
        .of("account_id", "accounts")
        .text("role")
        .at("created_at")
        .check("role IN ('OWNER', 'STAFF')")
        .key(&["creator_id", "account_id"])
        .index(&["account_id"])
        .create(manager)
        .await
});
