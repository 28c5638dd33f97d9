//! Accounts, guests, sessions, API tokens, and links sent by e-mail.

use sea_orm_migration::prelude::*;

use crate::columns::{migration, table};

migration!(|manager| {
    table("accounts")
        .id()
        // Lower case. Addresses are stored only here and in `guests`.
        .text("email")
        .at_or_null("email_confirmed_at")
        .text("name")
        .text_or_null("password_hash")
        .flag("admin")
        .bigint("version")
        .at("created_at")
        .at("updated_at")
        .unique(&["email"])
        .index(&["created_at", "id"])
        .create(manager)
        .await?;

    table("guests")
        .id()
        .text("email")
        .at_or_null("email_confirmed_at")
        .at("created_at")
        .unique(&["email"])
        .create(manager)
        .await?;

    table("api_tokens")
        .id()
        .text("kind")
        // Null for a token of the marketplace.
        .uuid_or_null("creator_id")
        .text("name")
        .bytes("secret_hash")
        .text("permissions")
        .text("actor")
        .at("created_at")
        .at_or_null("expires_at")
        .at_or_null("last_used_at")
        .at_or_null("revoked_at")
        .check("kind IN ('PUBLISHABLE', 'SECRET')")
        .unique(&["secret_hash"])
        .index(&["creator_id", "created_at"])
        .create(manager)
        .await?;

    table("sessions")
        .id()
        .of_or_null("account_id", "accounts")
        .of_or_null("guest_id", "guests")
        // The storefront's token that requested the session, if any.
        .of_or_null("opened_by", "api_tokens")
        .bytes("secret_hash")
        .at("created_at")
        .at("expires_at")
        .at("last_used_at")
        .at_or_null("revoked_at")
        .check("(account_id IS NULL) <> (guest_id IS NULL)")
        .unique(&["secret_hash"])
        .index(&["account_id", "created_at"])
        .create(manager)
        .await?;

    table("email_links")
        .id()
        .text("purpose")
        .of_or_null("account_id", "accounts")
        .of_or_null("guest_id", "guests")
        .of_or_null("token_id", "api_tokens")
        .bytes("secret_hash")
        .at("created_at")
        .at("expires_at")
        .at_or_null("used_at")
        .check("purpose IN ('CONFIRM_EMAIL', 'RESET_PASSWORD', 'CONFIRM_GUEST', 'OPEN_SESSION')")
        .unique(&["secret_hash"])
        .index(&["expires_at"])
        .create(manager)
        .await
});
