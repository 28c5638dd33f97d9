//! The second wall around the data of a creator: the role of the tenants, and the policy of each table.

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
    // By default everybody may use the schema `public`, but the operator may have changed this or chosen
    // another schema.
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
    // A creator only reads its lines of checkouts. They are changed by buyers, payments and expiry.
    owned(manager, "reservations", "creator_id", &["SELECT"]).await?;
    // No operation in a creator's scope reads the ledger yet.
    owned(manager, "ledger_entries", "creator_id", &[]).await?;

    // Each condition looks up one key, and only for the rows that a query requests.
    let own_item = "EXISTS (SELECT FROM drop_items WHERE drop_items.id = price_tiers.drop_item_id)";
    tied(manager, "price_tiers", own_item, &["SELECT", "INSERT", "DELETE"]).await?;
    let own_drop = "EXISTS (SELECT FROM drops WHERE drops.id = stock_gates.drop_id)";
    tied(manager, "stock_gates", own_drop, &["SELECT", "INSERT", "UPDATE"]).await?;
    // Tags of any other kind are refused. A new kind needs its own branch in a later migration.
    let own_thing = "CASE tags.kind \
                     WHEN 'product' THEN EXISTS (SELECT FROM products WHERE products.id = tags.subject) \
                     WHEN 'drop' THEN EXISTS (SELECT FROM drops WHERE drops.id = tags.subject) END";
    tied(manager, "tags", own_thing, &["SELECT", "INSERT", "DELETE"]).await?;
    // The slugs of creators have no owner, because they are unique in the marketplace.
    let own_slug = format!("owner = {TENANT} OR (kind = 'creator' AND subject = {TENANT})");
    tied(manager, "slugs", &own_slug, &["SELECT", "INSERT"]).await?;
    // Members can see each other's names, but not each other's e-mail addresses.
    let own_member = "EXISTS (SELECT FROM creator_members WHERE creator_members.account_id = accounts.id)";
    tied(manager, "accounts", own_member, &["SELECT (id, name)"]).await?;

    // Every tenant writes to these tables; only the system reads them.
    granted(manager, "outbox", &["INSERT"]).await?;
    granted(manager, "audit", &["INSERT"]).await
});
