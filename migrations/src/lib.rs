//! The migrations of the database schema: one file per change, for SQLite and PostgreSQL.
//!
//! Rules:
//!
//! - A released migration is never edited.
//! - Expand first, contract later: old code runs on the new schema during a deployment. A column or table is
//!   dropped one release after the last code that reads it; before the first release, in a later migration.
//! - On PostgreSQL a migration neither rewrites a large table nor locks one for longer than a moment. Indexes
//!   of existing tables are made `CONCURRENTLY`, in a migration of their own without a transaction;
//!   constraints are added `NOT VALID` and validated by a later migration; rows are filled by a task, not by
//!   an `UPDATE`. A test lints the SQL of every migration (`testkit/tests/migration_lint.rs`).
//! - A migration that creates a table places it behind the second wall (`wall.rs`).

use sea_orm_migration::prelude::*;

mod columns;
mod m0001_platform;
mod m0002_accounts;
mod m0003_creators;
mod m0004_catalog;
mod m0005_drops;
mod m0006_reservations;
mod m0007_payments;
mod m0008_second_wall;
mod m0009_audit_seals;
mod m0010_task_history;
mod m0011_demo_clock;
mod m0012_product_imports;
mod m0013_hot_drop;
mod m0014_lean_reservations;
mod m0019_pickup_places;
mod wall;

pub use wall::{ROLE_MISSING, TENANT_ROLE, make_role};

/// Applies the migrations in order and records which were applied.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_platform::Migration),
            Box::new(m0002_accounts::Migration),
            Box::new(m0003_creators::Migration),
            Box::new(m0004_catalog::Migration),
            Box::new(m0005_drops::Migration),
            Box::new(m0006_reservations::Migration),
            Box::new(m0007_payments::Migration),
            Box::new(m0008_second_wall::Migration),
            Box::new(m0009_audit_seals::Migration),
            Box::new(m0010_task_history::Migration),
            Box::new(m0011_demo_clock::Migration),
            Box::new(m0012_product_imports::Migration),
            Box::new(m0013_hot_drop::Migration),
            Box::new(m0014_lean_reservations::Migration),
            Box::new(m0019_pickup_places::Migration),
        ]
    }
}
