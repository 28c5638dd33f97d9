//! Black-box tests of the shop: newcomers, guests, other people, storefronts and crowds use the real binary
//! over real connections, on SQLite with the embedded bus and on PostgreSQL with RabbitMQ.

use crate::harness;
use crate::node;

/// Defines two tests for each function, `embedded::name` and `production::name`. Can be used once per module.
macro_rules! on_both {
    ($($(#[$about:meta])* async fn $name:ident($setup:ident : Setup $(,)?) $body:block)+) => {
        $($(#[$about])* async fn $name($setup: crate::shop::harness::Setup) $body)+

        mod embedded {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::shop::harness::Setup::empty()).await;
            })+
        }

        mod production {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::shop::harness::Setup::empty().on_postgres_and_rabbitmq().await).await;
            })+
        }
    };
}

pub(crate) mod books;
mod broker;
mod buying;
mod crash;
mod hot;
mod imports;
mod live;
pub(crate) mod market;
mod outage;
mod rush;
mod sign_in;
mod sqlite;
mod strangers;
mod tokens;
mod upgrade;
mod webhooks;
