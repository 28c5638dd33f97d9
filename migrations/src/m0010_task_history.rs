//! The history and the subjects of tasks, and the columns and indexes for the reconcilers.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    // The previous version of the program does not know these columns and works without them.
    let mut subject = ColumnDef::new("subject");
    subject.text().null();
    // When a dead letter is put back into its queue, `attempt` keeps counting, so that a number always names
    // the same attempt. A task has `attempts_max - attempt` attempts left.
    let mut attempts_max = ColumnDef::new("attempts_max");
    attempts_max.integer().not_null().default(12);
    // The reason that an administrator gave, for actions that need one.
    let mut reason = ColumnDef::new("reason");
    reason.text().null();
    // When the gateway was last asked about a payment without news.
    let mut asked_at = ColumnDef::new("asked_at");
    asked_at.timestamp_with_time_zone().null();
    // When the gateway reported that the intent is cancelled, so that no money will arrive.
    let mut intent_ended_at = ColumnDef::new("intent_ended_at");
    intent_ended_at.timestamp_with_time_zone().null();
    for (table, column) in [
        ("tasks", subject),
        ("tasks", attempts_max),
        ("audit", reason),
        ("payments", asked_at),
        ("payments", intent_ended_at),
    ] {
        manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
    }

    // Failed attempts. The primary key fences workers: two workers never have the same attempt.
    table("task_failures")
        .part_of("task_id", "tasks")
        .integer("attempt")
        .text("outcome")
        .text("error")
        .at("failed_at")
        .key(&["task_id", "attempt"])
        .create(manager)
        .await?;

    // Tasks that an administrator discarded. The reconcilers do not create them again.
    table("task_discards")
        .text("kind")
        .text("subject")
        .at("discarded_at")
        .key(&["kind", "subject"])
        .create(manager)
        .await?;

    // The reconcilers look once a minute for rows that are rare in ever-growing tables. Partial indexes
    // contain only these rows.
    for index in [
        "CREATE INDEX ix_tasks_kind_subject ON tasks (kind, subject)",
        "CREATE INDEX ix_tasks_dead ON tasks (created_at, id) WHERE state = 'DEAD'",
        "CREATE INDEX ix_payments_open ON payments (updated_at) \
         WHERE state IN ('PROCESSING', 'REQUIRES_ACTION')",
        "CREATE INDEX ix_payments_not_ended ON payments (updated_at) \
         WHERE state = 'CANCELLED' AND intent IS NOT NULL AND intent_ended_at IS NULL",
        "CREATE INDEX ix_payments_queued ON payments (queued_at) WHERE queued_at IS NOT NULL",
        "CREATE INDEX ix_refunds_pending ON refunds (created_at) WHERE state = 'PENDING'",
        "CREATE INDEX ix_webhook_inbox_open ON webhook_inbox (received_at) \
         WHERE applied_at IS NULL AND intent IS NOT NULL",
        "CREATE INDEX ix_reservations_held ON reservations (expires_at) WHERE state = 'HELD'",
    ] {
        manager.get_connection().execute_unprepared(index).await?;
    }
    Ok(())
});
