//! Checks the invariants of a marketplace while one buyer buys, and that the purchase results in exactly one
//! checkout.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use crate::faults::{
    harness::SOON,
    shop_books::{At, read, unrest},
};

/// Returns the number that an SQL query yields, or 0 for `NULL`.
pub(crate) async fn number(connection: &DatabaseConnection, sql: &str) -> i64 {
    let statement =
        Statement::from_string(connection.get_database_backend(), format!("SELECT CAST(({sql}) AS BIGINT)"));
    let row = connection.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index::<Option<i64>>(0).unwrap().unwrap_or(0)
}

async fn assert_invariants(connection: &DatabaseConnection, at: At) {
    let books = read(connection, at).await;
    assert!(books.complaints().is_empty(), "{:#?}", books.complaints());
}

/// Checks the invariants that hold at any instant.
pub(crate) async fn check(connection: &DatabaseConnection) {
    assert_invariants(connection, At::AnyInstant).await;
}

/// Checks the invariants that hold when no work is left, and that there is exactly one checkout.
pub(crate) async fn check_at_last(connection: &DatabaseConnection) {
    assert_invariants(connection, At::Peace).await;
    assert_eq!(number(connection, "SELECT COUNT(*) FROM checkouts").await, 1);
}

/// Returns whether no work is left.
pub(crate) async fn is_still(connection: &DatabaseConnection) -> bool {
    unrest(connection).await.is_empty()
}

/// Waits until no work is left.
pub(crate) async fn peace(connection: &DatabaseConnection) {
    let began = Instant::now();
    while !is_still(connection).await {
        assert!(began.elapsed() < SOON, "work is left: {}", unrest(connection).await);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
