//! The floor of a reservation: the minimum that a transaction must do so that nothing is oversold. It locks
//! one row, takes a unit from it, inserts one row, and commits, on the same kind of database and with the
//! same settings as the product.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    Outcome, Trouble,
    load::{self, Plan, Summary, Work, scattered},
    store::{Place, Store},
};

/// How long a transaction waits for a connection.
const TURN: Duration = Duration::from_secs(20);

/// Every measurement begins with empty tables.
const SCHEMA: [&str; 4] = [
    "DROP TABLE IF EXISTS items",
    "DROP TABLE IF EXISTS holds",
    "CREATE TABLE items (id BIGINT PRIMARY KEY, units BIGINT NOT NULL, held BIGINT NOT NULL)",
    "CREATE TABLE holds (id BIGINT PRIMARY KEY, item_id BIGINT NOT NULL, buyer_id BIGINT NOT NULL, \
     units BIGINT NOT NULL)",
];
const UPDATE: &str = "UPDATE items SET held = held + 1 WHERE id = $1 AND held < units";
const INSERT: &str = "INSERT INTO holds (id, item_id, buyer_id, units) VALUES ($1, $2, $3, 1)";

/// Creates the tables in the store's database for floors, and measures transactions that each lock one of
/// `rows` rows at random.
pub async fn run(store: &Store, plan: Plan, rows: u32) -> Outcome<Summary> {
    let database =
        connect(store, plan.connections).await.map_err(Trouble::doing("open the floor's database"))?;
    let items: Vec<_> = (1..=rows).map(|id| format!("({id}, 100000000, 0)")).collect();
    let items = format!("INSERT INTO items VALUES {}", items.join(", "));
    for statement in SCHEMA.into_iter().chain([items.as_str()]) {
        database.execute_unprepared(statement).await.map_err(Trouble::doing("create the floor's tables"))?;
    }
    let ids = Arc::new(AtomicU32::new(0));
    let summary =
        load::run(plan, |_| Transactions { database: database.clone(), rows, ids: Arc::clone(&ids) }).await;
    database.close().await.map_err(Trouble::doing("close the floor's database"))?;
    summary
}

/// Opens the database as the product does: SQLite with one writer for which the others queue, and with
/// durable commits; PostgreSQL with the settings of its server.
async fn connect(store: &Store, connections: u32) -> Result<DatabaseConnection, DbErr> {
    let (url, connections) = match store.floor_place() {
        Place::Sqlite(_) => ("sqlite://".to_owned(), 1),
        Place::Postgres(url) => (url.clone(), connections),
    };
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections).sqlx_logging(false).acquire_timeout(TURN).test_before_acquire(false);
    if let Place::Sqlite(file) = store.floor_place() {
        let file = file.clone();
        options.map_sqlx_sqlite_opts(move |options| {
            let options = options.filename(&file).create_if_missing(true);
            options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
        });
    }
    Database::connect(options).await
}

/// Runs transactions one after the other.
struct Transactions {
    database: DatabaseConnection,
    rows: u32,
    ids: Arc<AtomicU32>,
}

impl Work for Transactions {
    async fn prepare(&mut self) -> Outcome<()> {
        Ok(())
    }

    async fn once(&mut self) -> Outcome<()> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let done = self.transaction(id).await.map_err(Trouble::doing("run the floor's transaction"))?;
        if done == 1 { Ok(()) } else { Err(Trouble::new("the floor's units ran out")) }
    }
}

impl Transactions {
    async fn transaction(&self, id: u32) -> Result<u64, DbErr> {
        let item = scattered(id.into(), self.rows.into()).saturating_add(1);
        let (id, item) = (i64::from(id), i64::try_from(item).unwrap_or(1));
        let backend = self.database.get_database_backend();
        let statement = |sql: &str, values: Vec<Value>| Statement::from_sql_and_values(backend, sql, values);
        let transaction = begin(&self.database).await?;
        // A transaction on SQLite has held the only lock since it began.
        let lock = match backend {
            sea_orm::DbBackend::Postgres => "SELECT held FROM items WHERE id = $1 FOR UPDATE",
            _ => "SELECT held FROM items WHERE id = $1",
        };
        transaction.query_one_raw(statement(lock, vec![item.into()])).await?;
        let updated = transaction.execute_raw(statement(UPDATE, vec![item.into()])).await?.rows_affected();
        transaction.execute_raw(statement(INSERT, vec![id.into(), item.into(), id.into()])).await?;
        transaction.commit().await?;
        Ok(updated)
    }
}

#[expect(clippy::disallowed_methods, reason = "the floor's database has no tenants")]
async fn begin(database: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    database.begin_with_options(options).await
}
