//! The shop, from outside: what newcomers, guests, strangers, storefronts and crowds get from the real binary, over real
//! connections, on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests may fail loudly")]

#[path = "../harness/mod.rs"]
mod harness;

/// Makes two tests of each body, `sqlite::name` and `postgres::name`; once in a module.
macro_rules! on_both {
    ($($(#[$about:meta])* async fn $name:ident($setup:ident : Setup) $body:block)+) => {
        $($(#[$about])* async fn $name($setup: crate::harness::Setup) $body)+

        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::harness::Setup::empty()).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::harness::Setup::empty().on_postgres().await).await;
            })+
        }
    };
}

mod buying;
mod market;
mod rush;
mod sign_in;
mod strangers;
mod tokens;
mod webhooks;
