//! Payments, allocations, refunds, the ledger, the webhook inbox, and the state of the sandbox gateway.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    table("payments")
        .id()
        .of("checkout_id", "checkouts")
        .text("purpose")
        .text("gateway")
        .text("state")
        .bigint("amount_minor")
        .bigint("captured_minor")
        .bigint("refunded_minor")
        .text("currency")
        .text_or_null("intent")
        // The buyer's choice, stored until it is sent to the gateway.
        .text_or_null("method")
        .text_or_null("return_url")
        .integer("attempt")
        .text_or_null("action_url")
        .text_or_null("decline_code")
        // When the payment was put into our queue, and how many seconds of the hold were left then.
        .at_or_null("queued_at")
        .bigint_or_null("hold_left_secs")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .check(
            "state IN ('PREPARING', 'REQUIRES_METHOD', 'REQUIRES_ACTION', 'PROCESSING', 'SUCCEEDED', \
             'CANCELLED')",
        )
        .check("captured_minor >= 0 AND captured_minor <= amount_minor")
        .check("refunded_minor >= 0 AND refunded_minor <= captured_minor")
        .unique(&["checkout_id", "purpose"])
        .unique(&["gateway", "intent"])
        .create(manager)
        .await?;

    table("payment_allocations")
        .of("payment_id", "payments")
        .of("reservation_id", "reservations")
        .bigint("amount_minor")
        .key(&["payment_id", "reservation_id"])
        .create(manager)
        .await?;

    table("refunds")
        .id()
        .of("payment_id", "payments")
        .bigint("amount_minor")
        .text("currency")
        .text("reason")
        .text("state")
        .text_or_null("gateway_refund")
        .at("created_at")
        .at("updated_at")
        .check("amount_minor > 0")
        .check("state IN ('PENDING', 'DONE', 'FAILED')")
        .index(&["payment_id"])
        .create(manager)
        .await?;

    table("refund_allocations")
        .of("refund_id", "refunds")
        .of("reservation_id", "reservations")
        .bigint("amount_minor")
        .key(&["refund_id", "reservation_id"])
        .create(manager)
        .await?;

    // Double-entry bookkeeping: the entries of one movement sum to zero.
    table("ledger_entries")
        .id()
        .uuid("movement")
        .text("account")
        .uuid_or_null("creator_id")
        .of("payment_id", "payments")
        .bigint("amount_minor")
        .text("currency")
        .at("created_at")
        .index(&["movement"])
        .index(&["payment_id"])
        .create(manager)
        .await?;

    table("webhook_inbox")
        .text("gateway")
        .text("event")
        .text_or_null("intent")
        .text("body")
        .at("received_at")
        .at_or_null("applied_at")
        .key(&["gateway", "event"])
        .create(manager)
        .await?;

    // The sandbox is a separate gateway, so no other table references these tables.
    table("sandbox_intents")
        .id()
        .text("reference")
        .text("secret")
        .text("state")
        .bigint("amount_minor")
        .bigint("captured_minor")
        .bigint("refunded_minor")
        .text("currency")
        .text_or_null("method")
        .text_or_null("return_url")
        .text_or_null("decline_code")
        .at_or_null("settles_at")
        .at("created_at")
        .unique(&["secret"])
        .index(&["reference"])
        .create(manager)
        .await?;

    table("sandbox_keys").text("key").text("answer").at("created_at").key(&["key"]).create(manager).await?;

    table("sandbox_events")
        .id()
        .of("intent_id", "sandbox_intents")
        .text("kind")
        .at("created_at")
        .create(manager)
        .await
});
