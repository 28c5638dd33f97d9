//! Drops, their items, price tiers and gates.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    table("drops")
        .id()
        .of("creator_id", "creators")
        .text("slug")
        // The series that this run belongs to, if any.
        .text_or_null("series")
        .text("title")
        .text("summary")
        .text("description_markdown")
        .text("description_html")
        .text("state")
        .at("opens_at")
        .at("closes_at")
        .integer("hold_secs")
        .text("currency")
        .text("deposit_kind")
        // In basis points of the line (PERCENT), or in minor units of the currency per unit (FIXED).
        .bigint("deposit_value")
        .text("balance_kind")
        .date_or_null("balance_due_on")
        .integer("lead_time_days")
        .flag("pickup")
        .flag("shipping")
        // The lowest price of all tiers of the items. Lists are sorted by it.
        .bigint("price_min_minor")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .at_or_null("published_at")
        .at_or_null("first_held_at")
        .check("state IN ('DRAFT', 'PUBLISHED', 'CONFIRMED', 'FULFILLING', 'COMPLETED', 'CANCELLED')")
        .check("deposit_kind IN ('PERCENT', 'FIXED')")
        .check("balance_kind IN ('ON_DATE', 'BEFORE_SHIPPING')")
        .check("opens_at < closes_at")
        .unique(&["creator_id", "slug"])
        .index(&["state", "opens_at", "id"])
        .index(&["state", "closes_at", "id"])
        .index(&["state", "price_min_minor", "id"])
        .index(&["creator_id", "opens_at", "id"])
        .create(manager)
        .await?;

    table("drop_items")
        .id()
        .of("drop_id", "drops")
        .of("creator_id", "creators")
        .of("variant_id", "variants")
        .integer("position")
        .integer("units")
        .integer("per_buyer_max")
        // Units whose deposit is paid. Held units are counted from the reservations, because holds expire.
        .integer("confirmed_units")
        .check("units >= 0")
        .check("confirmed_units >= 0 AND confirmed_units <= units")
        .check("per_buyer_max >= 1")
        .unique(&["drop_id", "variant_id"])
        .index(&["drop_id", "position"])
        .create(manager)
        .await?;

    table("price_tiers")
        .of("drop_item_id", "drop_items")
        .integer("position")
        .bigint("price_minor")
        // The price applies to the first `up_to_units` units, and until `until`. Null means no limit.
        .bigint_or_null("up_to_units")
        .at_or_null("until")
        .check("price_minor >= 0")
        .key(&["drop_item_id", "position"])
        .create(manager)
        .await?;

    table("stock_gates").of("drop_id", "drops").bigint("version").key(&["drop_id"]).create(manager).await
});
