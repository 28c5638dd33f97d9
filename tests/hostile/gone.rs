//! Clients that disconnect: their queries are cancelled, and mutations that have begun are completed.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, Statement,
    TransactionTrait,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::hostile::harness::{Ended, SOON, Server, Setup};

/// How often a condition is checked.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A lock on a table by another program.
struct Held {
    _connection: DatabaseConnection,
    transaction: DatabaseTransaction,
}

impl Held {
    #[expect(clippy::disallowed_methods, reason = "acts as another program, which has no scopes")]
    async fn table(server: &Server, table: &str) -> Self {
        let connection = Database::connect(server.database_url()).await.unwrap();
        let transaction = connection.begin().await.unwrap();
        transaction
            .execute_unprepared(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .await
            .unwrap();
        Self { _connection: connection, transaction }
    }

    async fn give_back(self) {
        self.transaction.rollback().await.unwrap();
    }
}

/// Sends a request on a new connection, and does not read the response.
async fn begin(server: &Server, token: Option<&str>, query: &str, variables: Value) -> TcpStream {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let mut text =
        format!("POST /graphql HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n", server.address());
    if let Some(token) = token {
        write!(text, "authorization: Bearer {token}\r\n").unwrap();
    }
    write!(text, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Waits until exactly this many operations of a kind are running.
async fn until_running(server: &Server, kind: &str, count: u32) {
    let (name, patience) = (format!("smallrun_graphql_running{{kind=\"{kind}\"}} "), Instant::now());
    loop {
        let metrics = server.client().get(server.at("/metrics")).send().await.unwrap().text().await.unwrap();
        let running = metrics
            .lines()
            .find_map(|line| line.strip_prefix(&name))
            .map(|number| number.parse::<f64>().unwrap());
        if running.unwrap_or(0.0) == f64::from(count) {
            return;
        }
        assert!(patience.elapsed() < SOON, "{running:?} {kind} run, not {count}");
        tokio::time::sleep(POLL_EVERY).await;
    }
}

#[tokio::test]
async fn a_query_ends_when_its_client_goes_away() {
    // The deadline is too long to end a query during this test.
    let server =
        Server::start(Setup::empty().on_postgres().await.with("SMALLRUN_QUERY_SECS_MAX", "300")).await;
    let held = Held::table(&server, "creators").await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(begin(&server, None, "{ creators { nodes { name } } }", json!({})).await);
    }
    until_running(&server, "query", 3).await;
    // One client shuts its connection down, the others drop theirs.
    clients[0].shutdown().await.unwrap();
    until_running(&server, "query", 2).await;
    drop(clients);
    until_running(&server, "query", 0).await;
    held.give_back().await;
    server.graphql(None, "{ creators { nodes { name } } }", json!({})).await;
}

#[tokio::test]
async fn a_mutation_completes_after_its_client_disconnects_and_the_server_is_stopped() {
    let server = Server::start(Setup::empty().on_postgres().await.with("SMALLRUN_SHUTDOWN_SECS", "60")).await;
    let password = server.folder().join("password");
    fs::write(&password, "correct horse battery\n").unwrap();
    let mut admin = server.command(&["admin", "create", "--password-stdin", "--email", "boss@example.org"]);
    assert_eq!(Ended::of(admin.stdin(fs::File::open(password).unwrap())).code, Some(0));
    let token = server.sign_in("boss@example.org", "correct horse battery").await;
    let held = Held::table(&server, "slugs").await;
    let mutation = "mutation($input: CreatorCreateInput!) { \
                    creatorCreate(input: $input) { creator { id } errors { code } } }";
    let input = json!({ "input": {
        "name": "Salt Glaze", "country": "DE", "timeZone": "Europe/Berlin", "currency": "EUR",
    } });
    let client = begin(&server, Some(&token), mutation, input).await;
    until_running(&server, "mutation", 1).await;
    drop(client);
    // This setup keeps the database after the server has ended.
    let (again, database) = (server.same_again(), server.database_url());
    server.signal(rustix::process::Signal::TERM);
    let patience = Instant::now();
    while !server.log().contains("\"stopping\"") {
        assert!(patience.elapsed() < SOON, "{}", server.log());
        tokio::time::sleep(POLL_EVERY).await;
    }
    held.give_back().await;
    let (status, _) = server.ended().await;
    assert!(status.success(), "{status}");
    let database = Database::connect(database).await.unwrap();
    let count = Statement::from_string(DbBackend::Postgres, "SELECT count(*) FROM creators");
    let row = database.query_one_raw(count).await.unwrap().unwrap();
    assert_eq!(row.try_get_by_index::<i64>(0).unwrap(), 1);
    drop(again);
}
