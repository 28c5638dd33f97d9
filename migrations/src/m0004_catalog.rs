//! Products and their variants.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    table("products")
        .id()
        .of("creator_id", "creators")
        .text("slug")
        .text("title")
        .text("summary")
        .text("description_markdown")
        .text("description_html")
        // The lowest price of the variants that are not archived. Lists are sorted by it.
        .bigint("price_min_minor")
        .text("currency")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .at_or_null("archived_at")
        .unique(&["creator_id", "slug"])
        .index(&["created_at", "id"])
        .index(&["price_min_minor", "id"])
        .index(&["creator_id", "created_at", "id"])
        .create(manager)
        .await?;

    table("variants")
        .id()
        .of("product_id", "products")
        .of("creator_id", "creators")
        .integer("position")
        .text("sku")
        .text("title")
        .bigint("price_minor")
        .text("currency")
        .integer("weight_grams")
        .integer("length_mm")
        .integer("width_mm")
        .integer("height_mm")
        .text("tax_class")
        .at("created_at")
        .at("updated_at")
        .at_or_null("archived_at")
        .check("price_minor >= 0")
        .check("weight_grams >= 0")
        .unique(&["creator_id", "sku"])
        .index(&["product_id", "position"])
        .create(manager)
        .await
});
