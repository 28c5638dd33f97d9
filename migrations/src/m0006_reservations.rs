//! Checkouts, reservations, legal texts, tax rates and shipping tariffs.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    table("checkouts")
        .id()
        .of_or_null("account_id", "accounts")
        .of_or_null("guest_id", "guests")
        .text("currency")
        .text("country")
        .bigint("total_minor")
        .bigint("due_now_minor")
        .bigint("due_later_minor")
        .at("expires_at")
        // Whether a payment in processing has extended the hold. This happens once at most.
        .flag("extended")
        .json("quote")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .check("(account_id IS NULL) <> (guest_id IS NULL)")
        .index(&["account_id", "created_at", "id"])
        .index(&["guest_id", "created_at", "id"])
        .create(manager)
        .await?;

    table("checkout_addresses")
        .of("checkout_id", "checkouts")
        .text("name")
        .text("line1")
        .text_or_null("line2")
        .text("postal_code")
        .text("city")
        .text("country")
        .text_or_null("phone")
        .key(&["checkout_id"])
        .create(manager)
        .await?;

    table("reservations")
        .id()
        .of("checkout_id", "checkouts")
        .integer("position")
        .of("drop_id", "drops")
        .of("drop_item_id", "drop_items")
        .of("creator_id", "creators")
        .of("variant_id", "variants")
        // Identifies a person, with or without an account. Limits per person are counted by this key.
        .bytes("person_key")
        .integer("units")
        .text("state")
        .at("expires_at")
        .text("currency")
        .bigint("goods_minor")
        .bigint("tax_minor")
        .bigint("shipping_minor")
        .bigint("total_minor")
        .bigint("due_now_minor")
        .bigint("due_later_minor")
        .date_or_null("balance_due_on")
        .text("delivery")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .at_or_null("confirmed_at")
        .check("units >= 1")
        .check("goods_minor + tax_minor + shipping_minor = total_minor")
        .check("due_now_minor + due_later_minor = total_minor")
        .unique(&["checkout_id", "position"])
        .index(&["drop_id", "state", "expires_at"])
        .index(&["drop_item_id", "person_key"])
        .index(&["creator_id", "created_at", "id"])
        .create(manager)
        .await?;

    table("legal_texts")
        .id()
        .text("kind")
        .integer("number")
        .text("title")
        .text("body_markdown")
        .text("body_html")
        .at("published_at")
        .check("kind IN ('TERMS', 'PRIVACY', 'WITHDRAWAL')")
        .unique(&["kind", "number"])
        .create(manager)
        .await?;

    table("checkout_legal_texts")
        .of("checkout_id", "checkouts")
        .of("legal_text_id", "legal_texts")
        .key(&["checkout_id", "legal_text_id"])
        .create(manager)
        .await?;

    table("tax_rates")
        .text("country")
        .text("tax_class")
        .at("starts_at")
        .integer("rate_bp")
        .check("rate_bp >= 0 AND rate_bp <= 10000")
        .key(&["country", "tax_class", "starts_at"])
        .create(manager)
        .await?;

    table("shipping_tariffs")
        .of("creator_id", "creators")
        .text("country")
        // The tariff applies to parcels up to this weight.
        .integer("weight_grams_max")
        .bigint("price_minor")
        .text("currency")
        .check("price_minor >= 0")
        .key(&["creator_id", "country", "weight_grams_max"])
        .create(manager)
        .await
});
