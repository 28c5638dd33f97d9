//! Black-box tests of the audit log: a server seals it, and `audit verify` detects manual changes.

use std::{fs, path::PathBuf, sync::Arc, time::Instant};

use crate::harness::{Ended, Folder, SOON, Server, Setup};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};

async fn query(database: &DatabaseConnection, sql: &str) -> QueryResult {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    database.query_one_raw(statement).await.unwrap().unwrap()
}

async fn eventually_sealed(database: &DatabaseConnection) -> i64 {
    let patience = Instant::now();
    loop {
        let counts = query(database, "SELECT COUNT(*) AS of, COUNT(position) AS sealed FROM audit").await;
        let (rows, sealed): (i64, i64) =
            (counts.try_get("", "of").unwrap(), counts.try_get("", "sealed").unwrap());
        if rows == sealed {
            return rows;
        }
        assert!(patience.elapsed() < SOON, "{sealed} of {rows} rows are sealed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Runs `audit verify` on the database of a server.
struct Verify {
    folder: Arc<Folder>,
    url: String,
}

impl Verify {
    fn with(&self, arguments: &[&str]) -> Ended {
        let mut command = crate::harness::smallrun();
        command.args(["audit", "verify", "--data"]).arg(self.folder.path()).args(arguments);
        Ended::of(command.env("SMALLRUN_DATABASE_URL", &self.url))
    }

    /// Asserts that the verification succeeds and that its output contains a text.
    fn passes(&self, arguments: &[&str], text: &str) -> String {
        let ended = self.with(arguments);
        assert!(ended.code == Some(0) && ended.stdout.contains(text), "{ended:#?}");
        ended.stdout
    }

    /// Asserts that the verification fails and that its error message contains all texts.
    fn finds(&self, arguments: &[&str], texts: &[&str]) {
        let ended = self.with(arguments);
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(ended.code == Some(65) && ended.stdout.is_empty(), "{ended:#?}");
        assert!(texts.iter().all(|text| last.contains(text)), "{texts:?}: {last}");
    }
}

async fn a_log_is_sealed_and_changes_to_it_are_detected(setup: Setup) {
    let server = Server::start(setup).await;
    let database = Database::connect(server.database_url()).await.unwrap();
    let same_database = || Verify { folder: Arc::clone(server.folder()), url: server.database_url() };
    assert_eq!(Ended::of(&mut server.command(&["demo", "--buyers", "1"])).code, Some(0));
    assert!(eventually_sealed(&database).await > 0);
    // The demo's content has old dates, but it is written now.
    let loaded = Ended::of(&mut server.command(&["demo"]));
    assert_eq!(loaded.code, Some(0), "{loaded:#?}");
    let rows = eventually_sealed(&database).await;
    assert!(rows > 500, "{rows}");
    same_database().passes(&[], "unchanged since they were sealed");

    let (verify, again) = (same_database(), server.same_again());
    assert!(server.stop().await.0.success());
    let log: PathBuf = verify.folder.join("stderr.log");
    let log = ["--log", log.to_str().unwrap()];
    // Rows that the last tasks wrote during the stop are sealed by the next server.
    let sealed: i64 =
        query(&database, "SELECT COUNT(position) AS sealed FROM audit").await.try_get("", "sealed").unwrap();
    let all = verify.passes(&log, &format!("{sealed} rows in "));
    assert!(sealed >= rows && all.contains("Matching heads from --log and --head: "), "{all}");
    let head = all.lines().find_map(|line| line.strip_prefix("  ")).unwrap().to_owned();
    verify.passes(&["--head", &head], "--log and --head: 1");

    // Change a row.
    let change = |actor: &str| format!("UPDATE audit SET actor = '{actor}' WHERE position = 7");
    let row = query(&database, "SELECT id, actor FROM audit WHERE position = 7").await;
    let (id, actor): (domain::platform::ids::AuditId, String) =
        (row.try_get("", "id").unwrap(), row.try_get("", "actor").unwrap());
    database.execute_unprepared(&change("system:nobody")).await.unwrap();
    for arguments in [&[][..], &log, &["--head", &head]] {
        verify.finds(
            arguments,
            &[&id.to_string(), "at position 7 in segment ", "was changed after it was sealed"],
        );
    }
    database.execute_unprepared(&change(&actor)).await.unwrap();
    verify.passes(&log, "unchanged since they were sealed");

    // Cut off the end of the log.
    let last =
        query(&database, "SELECT number, position_first FROM audit_segments ORDER BY number DESC LIMIT 1")
            .await;
    let (number, first): (i64, i64) =
        (last.try_get("", "number").unwrap(), last.try_get("", "position_first").unwrap());
    for sql in [
        format!("DELETE FROM audit_segments WHERE number = {number}"),
        format!("DELETE FROM audit WHERE position >= {first}"),
    ] {
        database.execute_unprepared(&sql).await.unwrap();
    }
    verify.passes(&[], &format!("{} rows in {} segments", first - 1, number - 1));
    let said = format!(
        "segment {number} of the audit log was logged with the head {}",
        &head[head.find(':').unwrap() + 1..]
    );
    for arguments in [&log, &["--head", &head]] {
        verify
            .finds(arguments, &[&said, &format!("the last one here is {}", number - 1), "tail was cut off"]);
    }
    database.close().await.unwrap();

    // The next server continues the log, and the gap is still detected.
    let server = Server::start(again).await;
    let database = Database::connect(server.database_url()).await.unwrap();
    assert_eq!(Ended::of(&mut server.command(&["demo", "--buyers", "2"])).code, Some(0));
    eventually_sealed(&database).await;
    verify.passes(&[], "unchanged since they were sealed");
    verify.finds(&log, &[&said, "but the one here is"]);
    database.close().await.unwrap();
}

#[tokio::test]
async fn on_sqlite_with_json_logs() {
    a_log_is_sealed_and_changes_to_it_are_detected(Setup::empty().with("SMALLRUN_LOG_FORMAT", "json")).await;
}

#[tokio::test]
async fn on_postgres_with_pretty_logs_of_errors_only() {
    let setup = Setup::empty()
        .on_postgres()
        .await
        .with("SMALLRUN_LOG_FORMAT", "pretty")
        .with("SMALLRUN_LOG", "error");
    a_log_is_sealed_and_changes_to_it_are_detected(setup).await;
}

#[test]
fn heads_that_cannot_be_read_end_with_2() {
    let folder = Folder::new();
    let log = folder.join("empty.log");
    fs::write(&log, "nothing of interest\n").unwrap();
    let log = log.to_str().unwrap();
    for (arguments, said) in [
        (["--log", "/nowhere/x.log"], "the log `/nowhere/x.log` cannot be read"),
        (["--log", log], "the files given with --log contain no head of the audit log"),
        (["--head", "7:abc"], "expected NUMBER:HEX"),
    ] {
        let verify = Verify {
            folder: Arc::clone(&folder),
            url: format!("sqlite://{}", folder.join("x.sqlite").display()),
        };
        let ended = verify.with(&arguments);
        assert!(ended.code == Some(2) && ended.stderr.contains(said), "{ended:#?}");
    }
}

#[test]
fn the_output_for_an_empty_log_says_so() {
    let folder = Folder::new();
    let url = format!("sqlite://{}", folder.join("smallrun.sqlite").display());
    let data = folder.path().to_str().unwrap();
    assert_eq!(crate::harness::run(["migrate", "up", "--data", data]).code, Some(0));
    Verify { folder, url }.passes(&[], "The audit log has no sealed rows yet.");
}
