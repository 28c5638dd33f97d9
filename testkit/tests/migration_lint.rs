//! Lints the SQL that migrations run on PostgreSQL: no migration may lock a table in use for longer than a
//! moment, rewrite a large table, or remove something that the previous release reads.
//!
//! PostgreSQL reports the statements itself: with `log_statement = all` and `client_min_messages = log` it
//! sends each statement to the client, and sqlx passes it on as a log event. squawk lints them.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use migrations::Migrator;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use sea_orm_migration::MigratorTrait;
use squawk_linter::{Linter, Rule};
use squawk_syntax::SourceFile;
use testkit::TestDb;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    layer::{Context, SubscriberExt},
};

/// Migrations that were written before the lint. No deployment has run them yet: they are the first schema.
const BEFORE_THE_LINT: usize = 14;

/// Deliberate exceptions: the name of the migration, the finding, and the reason.
const DELIBERATE: &[(&str, &str, &str)] = &[];

const RULES: &[Rule] = &[
    Rule::AddingFieldWithDefault,
    Rule::AddingForeignKeyConstraint,
    Rule::AddingNotNullableField,
    Rule::AddingSerialPrimaryKeyField,
    Rule::AddingRequiredField,
    Rule::BanDropColumn,
    Rule::BanDropTable,
    Rule::BanTruncateCascade,
    Rule::ChangingColumnType,
    Rule::ConstraintMissingNotValid,
    Rule::DisallowedUniqueConstraint,
    Rule::RenamingColumn,
    Rule::RenamingTable,
    Rule::RequireConcurrentIndexCreation,
    Rule::RequireConcurrentIndexDeletion,
    Rule::RequireConcurrentReindex,
];

/// The finding for a statement that writes rows. Its duration depends on the size of the table.
const WRITES_ROWS: &str = "writes-rows";

/// Returns the names of the findings in the statements of one migration.
fn lint(statements: &[String], in_transaction: bool) -> Vec<String> {
    let mut findings = Vec::new();
    for statement in statements {
        let words: Vec<_> = statement.split_whitespace().take(3).map(str::to_lowercase).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let writes = matches!(words[..], ["update" | "delete", ..]) || (words.first() == Some(&"insert"));
        if writes && !statement.contains("seaql_migrations") {
            findings.push(WRITES_ROWS.to_owned());
        }
    }
    let sql = statements.iter().map(|statement| format!("{statement};\n")).collect::<String>();
    let mut linter = Linter::from(RULES.iter().copied());
    linter.settings.assume_in_transaction = in_transaction;
    let parsed = SourceFile::parse(&sql);
    assert!(parsed.errors().is_empty(), "cannot parse:\n{sql}\n{:?}", parsed.errors());
    findings.extend(linter.lint(&parsed, &sql).into_iter().map(|violation| violation.code.to_string()));
    findings
}

/// Collects the statements that PostgreSQL reports to the client.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Notice(self));
    }
}

struct Notice<'a>(&'a Statements);

impl Visit for Notice<'_> {
    fn record_str(&mut self, field: &Field, text: &str) {
        if field.name() != "message" {
            return;
        }
        // A simple query is reported as `statement: SQL`, a prepared one as `execute NAME: SQL`.
        let sql = match text.split_once(": ") {
            Some(("statement", sql)) => sql,
            Some((execute, sql)) if execute.starts_with("execute ") => sql,
            _ => return,
        };
        self.0.0.lock().unwrap().push(sql.trim().trim_end_matches(';').to_owned());
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

async fn connect(store: &TestDb) -> DatabaseConnection {
    let mut options = ConnectOptions::new(store.url().to_string());
    // The settings below belong to a session, so the pool has a single connection.
    options.max_connections(1).min_connections(1);
    let connection = Database::connect(options).await.unwrap();
    connection.execute_unprepared("SET client_min_messages = log; SET log_statement = 'all'").await.unwrap();
    connection
}

#[tokio::test]
async fn migrations_neither_lock_nor_rewrite_a_table_that_is_in_use() {
    let store = TestDb::postgres_without_tables().await;
    let statements = Statements::default();
    let notices = Targets::new().with_target("sqlx::postgres::notice", Level::TRACE);
    let subscriber = tracing_subscriber::registry().with(statements.clone().with_filter(notices));
    let _guard = tracing::subscriber::set_default(subscriber);
    let connection = connect(&store).await;
    let mut found = Vec::new();
    for (at, migration) in Migrator::migrations().iter().enumerate() {
        statements.0.lock().unwrap().clear();
        Migrator::up(&connection, Some(1)).await.unwrap();
        let ran = std::mem::take(&mut *statements.0.lock().unwrap());
        let changes = |sql: &&String| {
            let word = sql.split_whitespace().next().unwrap_or_default().to_lowercase();
            ["alter", "create", "drop", "update", "delete", "insert"].contains(&word.as_str())
        };
        let ran: Vec<_> = ran.iter().filter(changes).cloned().collect();
        assert!(ran.len() > 1, "PostgreSQL reported no statements of {}: {ran:#?}", migration.name());
        if at < BEFORE_THE_LINT {
            continue;
        }
        for finding in lint(&ran, migration.use_transaction() != Some(false)) {
            let name = migration.name().to_owned();
            if !DELIBERATE.iter().any(|(of, what, _)| (*of, *what) == (name.as_str(), finding.as_str())) {
                found.push((name, finding));
            }
        }
    }
    assert!(found.is_empty(), "see the rules in migrations/src/lib.rs: {found:#?}");
}

#[test]
fn the_lint_finds_locks_rewrites_and_removals() {
    let cases = [
        ("ALTER TABLE payments ADD COLUMN note text", true, vec![]),
        ("CREATE TABLE notes (id uuid PRIMARY KEY, text text NOT NULL)", true, vec![]),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON payments (state)", false, vec![]),
        ("ALTER TABLE payments ADD CONSTRAINT c CHECK (amount > 0) NOT VALID", true, vec![]),
        ("CREATE INDEX ix ON payments (state)", true, vec!["require-concurrent-index-creation"]),
        ("DROP INDEX ix", true, vec!["require-concurrent-index-deletion"]),
        ("ALTER TABLE payments ALTER COLUMN note TYPE int", true, vec!["changing-column-type"]),
        (
            "ALTER TABLE payments ADD CONSTRAINT c CHECK (amount > 0)",
            true,
            vec!["constraint-missing-not-valid"],
        ),
        (
            "ALTER TABLE payments ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES drops (id)",
            true,
            vec!["adding-foreign-key-constraint", "constraint-missing-not-valid"],
        ),
        ("ALTER TABLE payments ADD COLUMN note text NOT NULL", true, vec!["adding-required-field"]),
        (
            "ALTER TABLE payments ADD COLUMN at timestamptz DEFAULT clock_timestamp()",
            true,
            vec!["adding-field-with-default"],
        ),
        ("ALTER TABLE payments DROP COLUMN note", true, vec!["ban-drop-column"]),
        ("DROP TABLE payments", true, vec!["ban-drop-table"]),
        ("ALTER TABLE payments RENAME COLUMN note TO remark", true, vec!["renaming-column"]),
        ("UPDATE payments SET note = ''", true, vec![WRITES_ROWS]),
    ];
    for (sql, in_transaction, expected) in cases {
        let mut found = lint(&[sql.to_owned()], in_transaction);
        found.sort();
        assert_eq!(found, expected, "{sql}");
    }
}
