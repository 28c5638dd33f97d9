//! Servers that start before the database has the schema that they need, and migrations that wait for a lock.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
    sync::Arc,
    time::Instant,
};

use migrations::Migrator;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement, TransactionTrait};
use sea_orm_migration::MigratorTrait;
use serde_json::{Value, json};

use crate::shop::harness::{Folder, SOON, Setup};

/// A server that was started on a database without tables, and waits for the migrations.
struct WaitingServer {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
    client: reqwest::Client,
}

impl WaitingServer {
    /// Starts a server, and reads the URL from the message that it prints while it waits.
    fn start(setup: &Setup, folder: &Folder) -> Self {
        let mut child = setup.command(folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.contains("Run `smallrun migrate up`"), "{line}");
        let (_, rest) = line.split_once("http://").unwrap();
        let url = format!("http://{}", rest.split('/').next().unwrap());
        Self { child, out, url, client: reqwest::Client::new() }
    }

    /// Whether the server says that it is ready. A connection that breaks while the server starts says no.
    async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/readyz", self.url)).timeout(SOON).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(format!("{}{path}", self.url)).timeout(SOON).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends SIGTERM and returns the exit code.
    fn stop(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for WaitingServer {
    fn drop(&mut self) {
        let _has_ended_already = self.child.kill();
    }
}

#[tokio::test]
async fn a_server_on_postgres_is_alive_but_not_ready_until_the_migrations_are_applied() {
    let (setup, folder) = (Setup::empty().on_postgres().await, Folder::new());
    let mut server = WaitingServer::start(&setup, &folder);
    assert_eq!(server.get("/livez").await.0, 200);
    let (status, ready) = server.get("/readyz").await;
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((status, &ready["ready"], &ready["checks"]["database"]), (503, &json!(false), &json!("ok")));
    assert!(ready["checks"]["schema"].as_str().unwrap().contains("run `smallrun migrate up`"), "{ready}");
    assert_eq!(server.get("/graphql?query={__typename}").await.0, 503);
    setup.migrate(&folder);
    let began = Instant::now();
    while !server.is_ready().await {
        assert!(began.elapsed() < SOON, "the server is not ready although the migrations were applied");
    }
    let (status, answer) = server.get("/graphql?query={drops{totalCount}}").await;
    assert_eq!((status, answer.contains("\"totalCount\":0")), (200, true), "{answer}");
    let mut greeting = String::new();
    server.out.read_line(&mut greeting).unwrap();
    assert!(greeting.contains("listens on"), "{greeting}");
    assert_eq!(server.stop(), Some(0));
}

#[tokio::test]
async fn a_server_that_waits_for_migrations_stops_at_a_signal_and_changes_nothing() {
    let (setup, folder) = (Setup::empty().on_postgres().await, Arc::clone(&Folder::new()));
    assert_eq!(WaitingServer::start(&setup, &folder).stop(), Some(0));
    // The database still has no tables, so a second server waits as well.
    assert_eq!(WaitingServer::start(&setup, &folder).stop(), Some(0));
}

/// The number of migrations before m0013, which adds columns to `drops`.
const MIGRATIONS_BEFORE_M0013: u32 = 12;

#[expect(clippy::disallowed_methods, reason = "the test is another client of the database")]
#[tokio::test]
async fn a_migration_that_waits_for_a_table_does_not_block_readers_for_long() {
    let (setup, folder) = (Setup::empty().on_postgres().await, Folder::new());
    let database = Database::connect(&setup.database().unwrap().url).await.unwrap();
    Migrator::up(&database, Some(MIGRATIONS_BEFORE_M0013)).await.unwrap();
    let reader = database.begin().await.unwrap();
    reader.execute_unprepared("LOCK TABLE drops IN ACCESS SHARE MODE").await.unwrap();
    let migrating = {
        let (setup, folder) = (setup.clone(), Arc::clone(&folder));
        std::thread::spawn(move || setup.migrate(&folder))
    };
    let waits = "SELECT 1 FROM pg_locks WHERE relation = 'drops'::regclass AND NOT granted";
    let began = Instant::now();
    while database.query_one_raw(Statement::from_string(DbBackend::Postgres, waits)).await.unwrap().is_none()
    {
        assert!(began.elapsed() < SOON, "the migration does not wait for the table");
    }
    // This statement queues behind the migration, which waits for the open transaction of `reader`. It runs
    // when the migration gives up its attempt.
    let others = database.execute_unprepared("SELECT count(*) FROM drops");
    tokio::time::timeout(SOON, others).await.expect("a statement waits too long for the migration").unwrap();
    assert!(!migrating.is_finished(), "the migration gave up instead of trying again");
    reader.commit().await.unwrap();
    migrating.join().unwrap();
}
