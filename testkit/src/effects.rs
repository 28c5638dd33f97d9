//! Reads the effects of operations: facts, tasks, letters, audit rows and the whole state of the database.

use std::collections::BTreeMap;

use domain::platform::{
    Db,
    access::SystemScope,
    mail::{Letter, LetterContext, LinkBase, SendMail, WrittenLetter},
    tasks::Task,
};
use sea_orm::{ConnectionTrait, DbBackend, JsonValue, QueryResult, Statement};

use crate::Kit;

/// Returns the kinds of all facts in the order in which they were written.
pub async fn facts(kit: &Kit) -> Vec<String> {
    texts(&kit.db, "SELECT kind FROM outbox ORDER BY created_at, id").await
}

/// Returns the actions of all audit rows in the order in which they were written.
pub async fn audit_actions(kit: &Kit) -> Vec<String> {
    texts(&kit.db, "SELECT action FROM audit ORDER BY created_at, id").await
}

/// Returns the payloads of all queued tasks in the order in which they were queued.
pub async fn tasks(kit: &Kit) -> Vec<JsonValue> {
    let rows = rows(&kit.db, "SELECT payload FROM tasks ORDER BY created_at, id").await;
    rows.into_iter().map(|row| row.try_get_by_index(0).expect("a payload is JSON")).collect()
}

/// Returns the queued tasks of one kind in the order in which they were queued.
pub async fn tasks_of<T: Task>(kit: &Kit) -> Vec<T> {
    let sql = format!("SELECT payload FROM tasks WHERE kind = '{}' ORDER BY created_at, id", T::KIND);
    let payload = |row: QueryResult| row.try_get_by_index::<JsonValue>(0).expect("a payload is JSON");
    let task = |row| serde_json::from_value(payload(row)).expect("a payload of that kind");
    rows(&kit.db, &sql).await.into_iter().map(task).collect()
}

/// Returns a task in the form in which [`tasks`] returns it.
pub fn task<T: Task>(task: &T) -> JsonValue {
    domain::platform::tasks::stored(task).expect("a task is JSON")
}

/// Returns all queued letters in the order in which they were queued.
pub async fn letters(kit: &Kit) -> Vec<JsonValue> {
    tasks_of::<SendMail>(kit).await.iter().map(SendMail::letter).cloned().collect()
}

/// Returns a letter in the form in which [`letters`] returns it.
pub fn letter<L: Letter>(letter: &L) -> JsonValue {
    domain::platform::mail::letter::stored(letter).expect("a letter is JSON")
}

/// Renders a letter returned by [`letters`], as the mail worker does. Returns `None` if the letter is
/// obsolete.
pub async fn write_letter(kit: &Kit, letter: &JsonValue) -> Option<WrittenLetter> {
    let (scope, links) = (SystemScope::new("test"), LinkBase::new("https://shop.example"));
    let context = LetterContext { db: &kit.db, scope: &scope, links: &links };
    domain::registry::letters().write(letter, &context).await.expect("the letter can be rendered")
}

/// Returns the secret in the link of a letter.
pub fn link_in(written: &WrittenLetter) -> String {
    let secret = written.text.split_once("?code=").and_then(|(_, rest)| rest.lines().next());
    secret.expect("a letter with a link").to_owned()
}

/// Every row of every table. Two databases with equal content have equal states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseState(BTreeMap<String, Vec<String>>);

/// Tables that are excluded: a refused request spends its budget, and migrations are not data.
const NOT_STATE: [&str; 2] = ["budgets", "seaql_migrations"];

impl DatabaseState {
    pub(crate) async fn read(db: &Db) -> Self {
        let names = match db.backend() {
            DbBackend::Postgres => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
            _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        };
        let mut tables = BTreeMap::new();
        for table in texts(db, names).await {
            if NOT_STATE.contains(&table.as_str()) {
                continue;
            }
            let all = match db.backend() {
                DbBackend::Postgres => format!("SELECT t::text FROM {table} t ORDER BY 1"),
                _ => {
                    let columns =
                        texts(db, &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"))
                            .await;
                    let values: Vec<_> =
                        columns.iter().map(|column| format!("'{column}=' || quote(\"{column}\")")).collect();
                    format!("SELECT {} FROM {table} ORDER BY 1", values.join(" || ' ' || "))
                }
            };
            tables.insert(table, texts(db, &all).await);
        }
        Self(tables)
    }

    /// Returns the number of rows of a table.
    pub fn count(&self, table: &str) -> usize {
        self.0.get(table).expect("a table of the schema").len()
    }
}

async fn texts(db: &Db, sql: &str) -> Vec<String> {
    let text = |row: QueryResult| row.try_get_by_index::<String>(0).expect("a column of text");
    rows(db, sql).await.into_iter().map(text).collect()
}

async fn rows(db: &Db, sql: &str) -> Vec<QueryResult> {
    let statement = Statement::from_string(db.backend(), sql);
    db.reader().query_all_raw(statement).await.expect("the database answers")
}
