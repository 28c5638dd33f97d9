//! Starts the real binary for black-box tests, and sends GraphQL requests to it as a storefront does. Each
//! server has its own port and data folder, and runs on SQLite or PostgreSQL.
//!
//! ```ignore
//! mod harness;
//! let server = harness::Server::start(harness::Setup::demo()).await;
//! let drops = server.graphql(None, "{ drops { nodes { title } } }", json!({})).await;
//! ```
//!
//! A server, its folder and its database are removed when its value is dropped. The harness polls instead of
//! sleeping for a fixed time.

#![expect(unreachable_pub, reason = "shared by the modules of this test binary")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use migrations::{TENANT_ROLE, make_role};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use testkit::TestBroker;

/// The longest time that a start may take on a busy machine, including loading the demo.
const START_WITHIN: Duration = Duration::from_secs(90);
/// The longest time to wait for anything else.
pub const SOON: Duration = Duration::from_secs(20);
/// How often a condition is checked.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A temporary folder, which is removed when the value is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Creates an empty folder.
    pub fn new() -> Arc<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("smallrun-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Arc::new(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // This can fail if a test made the folder read-only.
        let _gone_or_kept = fs::remove_dir_all(&self.0);
    }
}

/// Returns a command for the binary, without settings from the environment. `SMALLRUN_TEST_BINARY` can name
/// another binary.
pub fn smallrun() -> Command {
    let binary =
        std::env::var_os("SMALLRUN_TEST_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_smallrun").into());
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SMALLRUN_")) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the binary and waits for its end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    Ended::of(smallrun().args(arguments))
}

/// The exit code and the output of a command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// How to start a server.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    folder: Option<Arc<Folder>>,
    database: Option<Arc<PostgresDatabase>>,
    broker: Option<Arc<TestBroker>>,
    listen: Option<String>,
    demo: bool,
    no_workers: bool,
    variables: Vec<(String, String)>,
}

impl Setup {
    /// An empty marketplace on SQLite, in a new folder.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The demo marketplace on SQLite, in a new folder.
    pub fn demo() -> Self {
        Self { demo: true, ..Self::default() }
    }

    /// Uses the folder of another server.
    pub fn in_folder(mut self, folder: &Arc<Folder>) -> Self {
        self.folder = Some(Arc::clone(folder));
        self
    }

    /// Uses a new PostgreSQL database.
    pub async fn on_postgres(mut self) -> Self {
        self.database = Some(PostgresDatabase::create().await);
        self
    }

    /// Uses a new database on this PostgreSQL server.
    pub async fn on_postgres_at(mut self, server: &str) -> Self {
        self.database = Some(PostgresDatabase::create_on(server).await);
        self
    }

    /// Uses a new PostgreSQL database that is reached through another address, such as a test's proxy.
    pub async fn on_postgres_by_way_of(mut self, address: &str) -> Self {
        let database = PostgresDatabase::create().await;
        self.variables
            .push(("SMALLRUN_DATABASE_URL".to_owned(), database.url.replace(&database.address(), address)));
        self.database = Some(database);
        self
    }

    /// Returns the host and the port of the PostgreSQL server.
    pub fn postgres_address(&self) -> String {
        self.database.as_ref().expect("a setup on PostgreSQL").address()
    }

    /// Uses a new PostgreSQL database and a new virtual host of RabbitMQ, as in production.
    pub async fn on_postgres_and_rabbitmq(self) -> Self {
        self.on_new_broker().await.on_postgres().await
    }

    /// Uses a new virtual host of RabbitMQ.
    pub async fn on_new_broker(self) -> Self {
        Self { broker: Some(Arc::new(TestBroker::new().await)), ..self }
    }

    /// Returns the virtual host of RabbitMQ.
    pub fn broker(&self) -> &TestBroker {
        self.broker.as_deref().expect("a setup on RabbitMQ")
    }

    /// Returns whether the setup uses RabbitMQ.
    pub fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// Listens on this address.
    pub fn listening_at(mut self, address: &str) -> Self {
        self.listen = Some(address.to_owned());
        self
    }

    /// Starts the server without workers.
    pub fn without_workers(mut self) -> Self {
        self.no_workers = true;
        self
    }

    /// Uses a copy of a PostgreSQL database that has no connections.
    pub async fn on_copy_of(mut self, database: &Arc<PostgresDatabase>) -> Self {
        self.database = Some(PostgresDatabase::copy_of(database).await);
        self
    }

    /// Returns the PostgreSQL database, if the setup uses one.
    pub fn database(&self) -> Option<&Arc<PostgresDatabase>> {
        self.database.as_ref()
    }

    /// Removes a setting, by its variable.
    pub fn without(mut self, variable: &str) -> Self {
        self.variables.retain(|(name, _)| name != variable);
        self
    }

    /// Adds a setting, by its variable.
    pub fn with(mut self, variable: &str, value: impl Into<String>) -> Self {
        self.variables.push((variable.to_owned(), value.into()));
        self
    }

    /// Returns the command that starts the server.
    pub fn command(&self, folder: &Folder) -> Command {
        let mut command = smallrun();
        let listen = self.listen.as_deref().unwrap_or("127.0.0.1:0");
        command.args(["serve", "--listen", listen, "--data"]).arg(folder.path());
        if self.demo {
            command.arg("--demo");
        }
        if self.no_workers {
            command.arg("--no-workers");
        }
        self.settings(&mut command);
        command
    }

    /// Applies the migrations on PostgreSQL, where a server does not do it.
    pub fn migrate(&self, folder: &Folder) {
        let Some(database) = &self.database else { return };
        if database.is_migrated.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut command = smallrun();
        command.args(["migrate", "up", "--data"]).arg(folder.path());
        self.settings(&mut command);
        let ended = Ended::of(&mut command);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }

    /// Adds the settings of this deployment to a command.
    fn settings(&self, command: &mut Command) {
        // Turn load shedding off. In tests, many unoptimised servers share few processors, so requests wait
        // long without overload.
        command.env("SMALLRUN_SHED_WAIT_MS_MIN", "0");
        if let Some(database) = &self.database {
            command.env("SMALLRUN_DATABASE_URL", &database.url);
        }
        if let Some(broker) = &self.broker {
            command.env("SMALLRUN_BUS_URL", broker.url());
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    folder: Arc<Folder>,
    client: reqwest::Client,
    lines: Vec<String>,
    setup: Setup,
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub async fn start(mut setup: Setup) -> Self {
        let folder = setup.folder.take().unwrap_or_else(Folder::new);
        setup.folder = Some(Arc::clone(&folder));
        setup.migrate(&folder);
        let log = File::options().create(true).append(true).open(folder.join("stderr.log")).unwrap();
        let mut command = setup.command(&folder);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = lines_of(child.stdout.take().unwrap());
        let mut server =
            Self { child, url: String::new(), folder, client: client(), lines: Vec::new(), setup };
        server.wait_for_address(&out).await;
        server.wait_until_ready().await;
        // Collect the lines that the server prints when it is ready.
        while let Ok(line) = out.recv_timeout(POLL_EVERY) {
            server.lines.push(line);
        }
        // Read and drop all later output, so that the server never blocks on a full pipe.
        std::thread::spawn(move || while out.recv().is_ok() {});
        server
    }

    async fn wait_for_address(&mut self, out: &Receiver<String>) {
        let patience = Instant::now();
        loop {
            match out.recv_timeout(POLL_EVERY) {
                Ok(line) => {
                    let address = line
                        .split_once("http://")
                        .map(|(_, rest)| rest.split(['/', ' ']).next().unwrap().to_owned());
                    self.lines.push(line);
                    if let Some(address) = address {
                        self.url = format!("http://{address}");
                        return;
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => tokio::task::yield_now().await,
                Err(mpsc::RecvTimeoutError::Disconnected) => self.give_up("ended before it was listening"),
            }
            if patience.elapsed() > START_WITHIN {
                self.give_up("did not print its address");
            }
        }
    }

    /// Waits until `/readyz` reports that the server is ready.
    pub async fn until_ready(&self, within: Duration) {
        let patience = Instant::now();
        loop {
            let answer = self.client.get(self.at("/readyz")).timeout(SOON).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            assert!(patience.elapsed() < within, "not ready within {within:?}: {}", self.log());
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    async fn wait_until_ready(&mut self) {
        let patience = Instant::now();
        loop {
            let answer = self.client.get(self.at("/readyz")).timeout(SOON).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            if self.child.try_wait().unwrap().is_some() || patience.elapsed() > START_WITHIN {
                self.give_up("did not become ready");
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    fn give_up(&mut self, why: &str) -> ! {
        let _ended = self.child.kill();
        panic!("the server {why}; its output:\n{}\n{}", self.lines.join("\n"), self.log());
    }

    /// Returns the URL of a path on this server.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or_default()
    }

    /// Returns the lines that the server printed to standard output when it started.
    pub fn greeting(&self) -> String {
        self.lines.join("\n")
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("stderr.log")).unwrap_or_default()
    }

    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Returns another command of the binary that uses the folder and the database of this server.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = smallrun();
        command.args(words).arg("--data").arg(self.folder.path());
        self.setup.settings(&mut command);
        command
    }

    /// Starts a `smallrun work` process for this deployment.
    pub fn start_worker(&self, words: &[&str]) -> Worker {
        let log = File::options().create(true).append(true).open(self.folder.join("stderr.log")).unwrap();
        let mut command = self.command(&[&["work"], words].concat());
        // Links and webhooks lead to the server, whose port the system has chosen.
        command.env("SMALLRUN_PUBLIC_URL", &self.url);
        Worker(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Returns the URL of the server's database.
    pub fn database_url(&self) -> String {
        let in_folder = || format!("sqlite://{}", self.folder.join("smallrun.sqlite").display());
        self.setup.database.as_ref().map_or_else(in_folder, |database| database.url.clone())
    }

    /// Returns a setup that starts the server again, with the same folder and database.
    pub fn same_again(&self) -> Setup {
        self.setup.clone()
    }

    /// Returns the demo's bearer token of a role: `buyer`, `creator` or `admin`.
    pub fn demo_token(&self, role: &str) -> String {
        let text = fs::read_to_string(self.folder.join("demo-tokens.json")).unwrap();
        let tokens: Value = serde_json::from_str(&text).unwrap();
        tokens[role].as_str().unwrap().to_owned()
    }

    /// Sends one operation, and returns the status and the body.
    pub async fn send(&self, token: Option<&str>, query: &str, variables: Value) -> (u16, Value) {
        let mut request =
            self.client.post(self.at("/graphql")).json(&json!({ "query": query, "variables": variables }));
        request = request.header("accept", "application/graphql-response+json").timeout(SOON);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Sends one operation, and returns its `data`. Panics if there are errors.
    pub async fn graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let (status, body) = self.send(token, query, variables).await;
        assert!(status == 200 && body.get("errors").is_none(), "{status} {body:#} for {query}");
        body["data"].clone()
    }

    /// Signs in with a password, and returns the bearer token.
    pub async fn sign_in(&self, email: &str, password: &str) -> String {
        let query = "mutation($input: SessionSignInInput!) { \
                     sessionSignIn(input: $input) { token errors { code } } }";
        let input = json!({ "input": { "email": email, "password": password } });
        let data = self.graphql(None, query, input).await;
        let token = data["sessionSignIn"]["token"].as_str();
        token.unwrap_or_else(|| panic!("{email} could not sign in: {data}")).to_owned()
    }

    /// Repeats an operation until its data satisfies the condition, and returns the data.
    pub async fn until(
        &self,
        token: Option<&str>,
        query: &str,
        variables: Value,
        good: impl Fn(&Value) -> bool,
    ) -> Value {
        let patience = Instant::now();
        loop {
            let data = self.graphql(token, query, variables.clone()).await;
            if good(&data) {
                return data;
            }
            assert!(patience.elapsed() < SOON, "the condition was not met within {SOON:?}: {data:#}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Waits for a letter to this address that contains a text, and returns the newest one.
    pub async fn letter(&self, to: &str, holding: &str) -> String {
        let patience = Instant::now();
        loop {
            if let Some(letter) = newest_letter(&self.folder.join("mail"), to, holding) {
                return letter;
            }
            assert!(patience.elapsed() < SOON, "no letter to {to} with {holding:?}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Sends SIGTERM, as an operator does, and waits for the end of the server.
    pub async fn stop(self) -> (ExitStatus, Duration) {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Waits for the end of a server that is stopping.
    pub async fn ended(mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, asked.elapsed());
            }
            assert!(asked.elapsed() < SOON, "the server did not stop; its log:\n{}", self.log());
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Sends a signal to the server.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Kills the process, like a power cut.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A running `smallrun work`. It is killed when the value is dropped.
#[derive(Debug)]
pub struct Worker(Child);

impl Worker {
    /// Kills the process, like a power cut.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends SIGTERM, and waits for the end of the worker.
    pub async fn stop(mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let asked = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(asked.elapsed() < SOON, "the worker did not stop");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Returns a client that closes idle connections well before the server does. Otherwise the server could
/// close a connection while a request is on its way.
fn client() -> reqwest::Client {
    reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(2)).build().unwrap()
}

fn lines_of(out: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

fn newest_letter(folder: &Path, to: &str, holding: &str) -> Option<String> {
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.retain(|path| path.extension() == Some(OsStr::new("eml")));
    // The names of the files begin with the time.
    names.sort();
    let letters = names.iter().rev().filter_map(|path| fs::read_to_string(path).ok());
    let mut letters = letters.map(|text| text.replace("=\r\n", "").replace("=3D", "="));
    letters.find(|text| text.contains(to) && text.contains(holding))
}

/// A database on the test server, with its own owner who is not a superuser, as in production. Both are
/// dropped with the value.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: String,
    pub name: String,
    owner: String,
    /// Whether the owner is dropped with the database.
    owner_goes: bool,
    pub url: String,
    /// Whether the binary has applied its migrations.
    is_migrated: AtomicBool,
}

impl PostgresDatabase {
    /// Creates an empty database on the server that `SMALLRUN_TEST_POSTGRES_URL` names.
    pub async fn create() -> Arc<Self> {
        let server = std::env::var("SMALLRUN_TEST_POSTGRES_URL")
            .expect("run scripts/test, or set SMALLRUN_TEST_POSTGRES_URL");
        Self::create_on(&server).await
    }

    /// Creates a copy of a database that has no connections. The copy and its tables belong to the owner of
    /// the original, so the copy must be dropped before the original.
    pub async fn copy_of(other: &Self) -> Arc<Self> {
        let copied = Self::named(&other.server, &other.owner, false);
        copied
            .run(&format!("CREATE DATABASE {} OWNER {} TEMPLATE {}", copied.name, copied.owner, other.name))
            .await;
        copied.is_migrated.store(other.is_migrated.load(Ordering::Relaxed), Ordering::Relaxed);
        Arc::new(copied)
    }

    /// Creates an empty database on this server.
    async fn create_on(server: &str) -> Arc<Self> {
        let made = Self::named(server, "", true);
        let connection = Database::connect(made.server.as_str()).await.unwrap();
        make_role(&connection, TENANT_ROLE).await.unwrap();
        connection.close().await.unwrap();
        made.run(&format!("CREATE ROLE {0} LOGIN PASSWORD '{0}' IN ROLE {TENANT_ROLE}", made.owner)).await;
        made.run(&format!("CREATE DATABASE {} OWNER {}", made.name, made.owner)).await;
        Arc::new(made)
    }

    /// Chooses a unique name. The owner has the same name, unless the database is a copy.
    fn named(server: &str, owner: &str, owner_goes: bool) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("smallrun_binary_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let owner = if owner_goes { name.clone() } else { owner.to_owned() };
        let (base, _) = server.rsplit_once('/').unwrap();
        let (_, host) = base.rsplit_once(['@', '/']).unwrap();
        let url = format!("postgres://{owner}:{owner}@{host}/{name}");
        Self { server: server.to_owned(), name, owner, owner_goes, url, is_migrated: AtomicBool::new(false) }
    }

    /// Returns the host and the port of the server.
    fn address(&self) -> String {
        let (_, rest) = self.server.split_once('@').unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    /// Runs SQL as a superuser.
    pub async fn run(&self, sql: &str) {
        let connection = Database::connect(self.server.as_str()).await.unwrap();
        connection.execute_unprepared(sql).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        let server = self.server.clone();
        let mut going = vec![format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)];
        if self.owner_goes {
            going.push(format!("DROP ROLE IF EXISTS {}", self.owner));
        }
        // Use a new runtime in a new thread, because `drop` may run within a runtime, where blocking is
        // forbidden.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                if let Ok(connection) = Database::connect(server.as_str()).await {
                    for gone in &going {
                        let _left_for_the_next_run = connection.execute_unprepared(gone).await;
                    }
                }
            });
        });
        let _left_for_the_next_run = dropping.join();
    }
}
