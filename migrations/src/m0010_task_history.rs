//! The history of tasks, what tasks are about, and what the reconcilers look for.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    // Programs of the version before know neither column, and need not.
    let mut subject = ColumnDef::new("subject");
    subject.text().null();
    // Attempts are counted on when a dead letter is put back, so that a number names one attempt for good;
    // what a task may still take is what is between the two.
    let mut attempts_max = ColumnDef::new("attempts_max");
    attempts_max.integer().not_null().default(12);
    // Why an administrator did it, in words, where one must be given.
    let mut reason = ColumnDef::new("reason");
    reason.text().null();
    // When the gateway was last asked because nothing was heard of a payment …
    let mut asked_at = ColumnDef::new("asked_at");
    asked_at.timestamp_with_time_zone().null();
    // … and when it said that the intent is cancelled: no money will come.
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

    // Attempts that failed. The key is what fences workers: two of them never have the same attempt.
    table("task_failures")
        .part_of("task_id", "tasks")
        .integer("attempt")
        .text("outcome")
        .text("error")
        .at("failed_at")
        .key(&["task_id", "attempt"])
        .create(manager)
        .await?;

    // What an administrator discarded: reconcilers do not bring it back.
    table("task_discards")
        .text("kind")
        .text("subject")
        .at("discarded_at")
        .key(&["kind", "subject"])
        .create(manager)
        .await?;

    // What the reconcilers look for once a minute is rare in tables that grow for ever: partial indexes hold
    // nothing else.
    for index in [
        "CREATE INDEX ix_tasks_kind_subject ON tasks (kind, subject)",
        "CREATE INDEX ix_tasks_dead ON tasks (created_at, id) WHERE state = 'DEAD'",
        "CREATE INDEX ix_payments_open ON payments (updated_at) WHERE state IN ('PROCESSING', 'REQUIRES_ACTION')",
        "CREATE INDEX ix_payments_not_ended ON payments (updated_at) \
         WHERE state = 'CANCELLED' AND intent IS NOT NULL AND intent_ended_at IS NULL",
        "CREATE INDEX ix_payments_queued ON payments (queued_at) WHERE queued_at IS NOT NULL",
        "CREATE INDEX ix_refunds_pending ON refunds (created_at) WHERE state = 'PENDING'",
        "CREATE INDEX ix_webhook_inbox_open ON webhook_inbox (received_at) WHERE applied_at IS NULL AND intent IS NOT NULL",
        "CREATE INDEX ix_reservations_held ON reservations (expires_at) WHERE state = 'HELD'",
    ] {
        manager.get_connection().execute_unprepared(index).await?;
    }
    Ok(())
});
