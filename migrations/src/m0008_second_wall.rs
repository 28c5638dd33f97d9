//! The second wall around what is a creator's: the role, and where each table stands.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

use crate::{
    columns::migration,
    wall::{TENANT, TENANT_ROLE, granted, make_role, owned, tied},
};

migration!(|manager| {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let connection = manager.get_connection();
    make_role(connection, TENANT_ROLE).await?;
    // Everybody may use the schema `public`, unless the operator thought otherwise or chose another.
    let usage = format!(
        "DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO {TENANT_ROLE}', current_schema()); END $$"
    );
    connection.execute_unprepared(&usage).await?;

    owned(manager, "creators", "id", &["SELECT", "UPDATE"]).await?;
    owned(manager, "creator_members", "creator_id", &["SELECT"]).await?;
    owned(manager, "api_tokens", "creator_id", &["SELECT", "INSERT", "UPDATE"]).await?;
    owned(manager, "products", "creator_id", &["SELECT", "INSERT", "UPDATE"]).await?;
    owned(manager, "variants", "creator_id", &["SELECT", "INSERT", "UPDATE"]).await?;
    owned(manager, "drops", "creator_id", &["SELECT", "INSERT", "UPDATE"]).await?;
    owned(manager, "drop_items", "creator_id", &["SELECT", "INSERT", "UPDATE", "DELETE"]).await?;
    owned(manager, "shipping_tariffs", "creator_id", &["SELECT", "INSERT", "DELETE"]).await?;
    // A creator reads its lines of checkouts; buyers, payments and time change them.
    owned(manager, "reservations", "creator_id", &["SELECT"]).await?;
    // Nothing reads these for a creator yet.
    owned(manager, "ledger_entries", "creator_id", &[]).await?;

    // Each condition looks a key up, and only for rows that the query asks for.
    let own_item = "EXISTS (SELECT FROM drop_items WHERE drop_items.id = price_tiers.drop_item_id)";
    tied(manager, "price_tiers", own_item, &["SELECT", "INSERT", "DELETE"]).await?;
    let own_drop = "EXISTS (SELECT FROM drops WHERE drops.id = stock_gates.drop_id)";
    tied(manager, "stock_gates", own_drop, &["SELECT", "INSERT", "UPDATE"]).await?;
    // A kind of thing that comes later has its line here, or its tags are refused.
    let own_thing = "CASE tags.kind WHEN 'product' THEN EXISTS (SELECT FROM products WHERE products.id = tags.subject) \
                     WHEN 'drop' THEN EXISTS (SELECT FROM drops WHERE drops.id = tags.subject) END";
    tied(manager, "tags", own_thing, &["SELECT", "INSERT", "DELETE"]).await?;
    // The slugs of creators have no owner: they are unique in the marketplace.
    let own_slug = format!("owner = {TENANT} OR (kind = 'creator' AND subject = {TENANT})");
    tied(manager, "slugs", &own_slug, &["SELECT", "INSERT"]).await?;
    // Members see each other's names, and not their addresses.
    let own_member = "EXISTS (SELECT FROM creator_members WHERE creator_members.account_id = accounts.id)";
    tied(manager, "accounts", own_member, &["SELECT (id, name)"]).await?;

    // Written by everybody, read by the system.
    granted(manager, "outbox", &["INSERT"]).await?;
    granted(manager, "audit", &["INSERT"]).await
});
