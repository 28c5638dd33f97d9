//! The books of one buyer's story, read from the database.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use crate::harness::SOON;

/// One number that SQL answers.
pub(crate) async fn number(connection: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), format!("SELECT CAST(({sql}) AS BIGINT)"));
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index::<Option<i64>>(0).unwrap().unwrap_or(0)
}

/// What must hold at any instant, in the middle of everything: each of these is zero.
const ALWAYS: &[(&str, &str)] = &[
    (
        "more units are taken than there are",
        "SELECT COUNT(*) FROM drop_items i WHERE units < COALESCE((SELECT SUM(units) FROM reservations WHERE drop_item_id = i.id AND \
         state IN ('HELD', 'CONFIRMED')), 0)",
    ),
    (
        "confirmed units are miscounted",
        "SELECT COUNT(*) FROM drop_items i WHERE confirmed_units <> COALESCE((SELECT SUM(units) FROM reservations WHERE \
         drop_item_id = i.id AND state = 'CONFIRMED'), 0)",
    ),
    (
        "a checkout is not whole",
        "SELECT COUNT(*) FROM checkouts c WHERE 1 <> (SELECT COUNT(*) FROM reservations WHERE checkout_id = c.id) \
         OR 1 <> (SELECT COUNT(*) FROM payments WHERE checkout_id = c.id) \
         OR 1 <> (SELECT COUNT(*) FROM checkout_addresses WHERE checkout_id = c.id) \
         OR 1 <> (SELECT COUNT(*) FROM outbox WHERE kind = 'reserved' AND version = 1)",
    ),
    (
        "a key is without its checkout, or the other way round",
        "SELECT ABS((SELECT COUNT(*) FROM idempotency_keys WHERE operation = 'checkout.reserve') - (SELECT COUNT(*) FROM checkouts))",
    ),
    (
        "there is a second intent",
        "SELECT COUNT(*) FROM (SELECT reference FROM sandbox_intents GROUP BY reference HAVING COUNT(*) > 1) i",
    ),
    (
        "captured money is not allocated",
        "SELECT COUNT(*) FROM payments p WHERE captured_minor <> COALESCE((SELECT SUM(amount_minor) FROM payment_allocations \
         WHERE payment_id = p.id), 0)",
    ),
    (
        "a confirmed reservation is not paid for, or a paid one is neither had nor given back",
        "SELECT COUNT(*) FROM reservations r JOIN payments p ON p.checkout_id = r.checkout_id WHERE \
         (r.state IN ('CONFIRMED', 'REFUNDED')) <> (p.captured_minor > 0)",
    ),
    (
        "a movement does not sum to zero",
        "SELECT COUNT(*) FROM (SELECT movement FROM ledger_entries GROUP BY movement HAVING SUM(amount_minor) <> 0) m",
    ),
    (
        "the ledger does not say what the payments do",
        "SELECT ABS(COALESCE((SELECT SUM(captured_minor - refunded_minor) FROM payments), 0) \
         - COALESCE((SELECT SUM(amount_minor) FROM ledger_entries WHERE account = 'gateway'), 0))",
    ),
    ("a task failed for good", "SELECT COUNT(*) FROM tasks WHERE state = 'DEAD'"),
];

/// What holds when nothing is left to do: zero too.
const AT_LAST: &[(&str, &str)] = &[
    (
        "the gateway has other money than we know of",
        "SELECT ABS(COALESCE((SELECT SUM(captured_minor * 1000000 + refunded_minor) FROM payments), 0) \
         - COALESCE((SELECT SUM(captured_minor * 1000000 + refunded_minor) FROM sandbox_intents), 0))",
    ),
    ("a position is missing", "SELECT COUNT(*) - COALESCE(MAX(position), 0) FROM outbox"),
    ("there is more than one checkout", "SELECT COUNT(*) - 1 FROM checkouts"),
];

async fn zero(connection: &DatabaseConnection, books: &[(&str, &str)]) {
    for (what, sql) in books {
        let count = number(connection, sql).await;
        assert_eq!(count, 0, "{what}");
    }
}

/// Checks what holds at any instant.
pub(crate) async fn check(connection: &DatabaseConnection) {
    zero(connection, ALWAYS).await;
}

/// Checks what holds in the end.
pub(crate) async fn check_at_last(connection: &DatabaseConnection) {
    zero(connection, ALWAYS).await;
    zero(connection, AT_LAST).await;
}

/// What is left to do.
const LEFT: &str = "SELECT (SELECT COUNT(*) FROM tasks) + (SELECT COUNT(*) FROM outbox WHERE position IS NULL) \
    + (SELECT COUNT(*) FROM webhook_inbox WHERE applied_at IS NULL AND intent IS NOT NULL)";

/// How much is left to do.
pub(crate) async fn left(connection: &DatabaseConnection) -> i64 {
    number(connection, LEFT).await
}

/// Waits until nothing is left to do.
pub(crate) async fn peace(connection: &DatabaseConnection) {
    let patience = Instant::now();
    while left(connection).await > 0 {
        assert!(patience.elapsed() < SOON, "something is left to do");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
