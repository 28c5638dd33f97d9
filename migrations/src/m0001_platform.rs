//! The tables that all capabilities share: outbox, tasks, timers, audit log, idempotency keys, rate-limit
//! budgets, slugs and tags.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    table("outbox")
        .id()
        .bigint_or_null("position")
        .text("kind")
        .text("aggregate")
        .bigint("version")
        .json("payload")
        .text_or_null("traceparent")
        .at("created_at")
        .unique(&["position"])
        .create(manager)
        .await?;
    // The relay only looks for rows without a position. An index over all rows would grow with the history.
    let unstamped = "CREATE INDEX ix_outbox_unstamped ON outbox (id) WHERE position IS NULL";
    manager.get_connection().execute_unprepared(unstamped).await?;

    table("relay_lease")
        .integer("id")
        .uuid_or_null("holder")
        .bigint("fence")
        .at("expires_at")
        .bigint("position_last")
        .key(&["id"])
        .create(manager)
        .await?;
    let row = Query::insert()
        .into_table("relay_lease")
        .columns(["id", "fence", "expires_at", "position_last"])
        .values_panic([1.into(), 0_i64.into(), Expr::cust("'1970-01-01T00:00:00+00:00'"), 0_i64.into()])
        .to_owned();
    manager.execute(row).await?;

    table("tasks")
        .id()
        .text("kind")
        .text("queue")
        .json("payload")
        .text_or_null("unique_key")
        .text("state")
        .integer("attempt")
        .at("run_at")
        .integer("urgency")
        .at("since")
        .at_or_null("lease_until")
        .text_or_null("last_error")
        .text_or_null("traceparent")
        .at("created_at")
        .check("state IN ('READY', 'RUNNING', 'DEAD')")
        .unique(&["unique_key"])
        .index(&["queue", "state", "urgency", "since"])
        .index(&["queue", "state", "run_at"])
        .create(manager)
        .await?;

    table("timers")
        .text("kind")
        .uuid("subject")
        .at("due_at")
        .text_or_null("traceparent")
        .key(&["kind", "subject"])
        .index(&["due_at"])
        .create(manager)
        .await?;

    table("audit")
        .id()
        .text("actor")
        .text("action")
        .text("subject")
        .text("fields")
        .text_or_null("trace_id")
        .at("created_at")
        .index(&["created_at", "id"])
        .index(&["subject"])
        .index(&["actor"])
        .create(manager)
        .await?;

    table("idempotency_keys")
        .text("principal")
        .text("operation")
        .text("key")
        .bytes("input_hash")
        .uuid("result")
        .at("created_at")
        .key(&["principal", "operation", "key"])
        .index(&["created_at"])
        .create(manager)
        .await?;

    table("budgets").text("name").at("whole_at").key(&["name"]).create(manager).await?;

    table("slugs")
        .text("kind")
        .uuid("owner")
        .text("slug")
        .uuid("subject")
        .at("created_at")
        .key(&["kind", "owner", "slug"])
        .create(manager)
        .await?;

    table("tags")
        .text("kind")
        .uuid("subject")
        .text("tag")
        .key(&["kind", "subject", "tag"])
        .index(&["kind", "tag", "subject"])
        .create(manager)
        .await
});
