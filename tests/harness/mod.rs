//! Starts the real binary for black-box tests: on a port of its own, with a data folder of its own, on SQLite
//! or on PostgreSQL; and speaks GraphQL to it as a storefront would.
//!
//! ```ignore
//! mod harness;
//! let server = harness::Server::start(harness::Setup::demo()).await;
//! let drops = server.graphql(None, "{ drops { nodes { title } } }", json!({})).await;
//! ```
//!
//! A server ends with its value, and its folder and database with it. Nothing here sleeps for a fixed time:
//! it polls.

#![expect(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use migrations::{TENANT_ROLE, make_role};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use testkit::TestBroker;

/// How long a start may take, the demo's load included, on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(90);
/// How long anything else may take that is waited for.
pub const SOON: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A folder that goes with its value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty folder.
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
        // Tests may have taken the right to write away.
        let _gone_or_kept = fs::remove_dir_all(&self.0);
    }
}

/// The binary, with no setting from outside; that which `SMALLRUN_TEST_BINARY` names, if it does.
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

/// Runs the binary to its end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    Ended::of(smallrun().args(arguments))
}

/// A command that has ended, with what it said.
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

/// How a server is to be started.
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
    /// Empty, on SQLite in a new folder.
    pub fn empty() -> Self {
        Self::default()
    }

    /// With the demo marketplace.
    pub fn demo() -> Self {
        Self { demo: true, ..Self::default() }
    }

    /// In a folder that another server has used, or will use.
    pub fn in_folder(mut self, folder: &Arc<Folder>) -> Self {
        self.folder = Some(Arc::clone(folder));
        self
    }

    /// On a PostgreSQL database of its own.
    pub async fn on_postgres(mut self) -> Self {
        self.database = Some(PostgresDatabase::create().await);
        self
    }

    /// On a database of its own on that PostgreSQL server.
    pub async fn on_postgres_at(mut self, server: &str) -> Self {
        self.database = Some(PostgresDatabase::create_on(server).await);
        self
    }

    /// On a PostgreSQL database of its own that is reached by another address: a test's proxy.
    pub async fn on_postgres_by_way_of(mut self, address: &str) -> Self {
        let database = PostgresDatabase::create().await;
        self.variables
            .push(("SMALLRUN_DATABASE_URL".to_owned(), database.url.replace(&database.address(), address)));
        self.database = Some(database);
        self
    }

    /// The host and the port of its PostgreSQL server.
    pub fn postgres_address(&self) -> String {
        self.database.as_ref().expect("a setup on PostgreSQL").address()
    }

    /// On a PostgreSQL database and a virtual host of RabbitMQ of its own: what production runs on.
    pub async fn on_postgres_and_rabbitmq(self) -> Self {
        self.on_new_broker().await.on_postgres().await
    }

    /// On a virtual host of RabbitMQ of its own.
    pub async fn on_new_broker(self) -> Self {
        Self { broker: Some(Arc::new(TestBroker::new().await)), ..self }
    }

    /// The virtual host of RabbitMQ that it is on.
    pub fn broker(&self) -> &TestBroker {
        self.broker.as_deref().expect("a setup on RabbitMQ")
    }

    /// Whether it is on RabbitMQ.
    pub fn has_broker(&self) -> bool {
        self.broker.is_some()
    }

    /// At an address that is known before.
    pub fn listening_at(mut self, address: &str) -> Self {
        self.listen = Some(address.to_owned());
        self
    }

    /// Without workers inside.
    pub fn without_workers(mut self) -> Self {
        self.no_workers = true;
        self
    }

    /// On a copy of a PostgreSQL database that nobody uses at the moment.
    pub async fn on_copy_of(mut self, database: &Arc<PostgresDatabase>) -> Self {
        self.database = Some(PostgresDatabase::copy_of(database).await);
        self
    }

    /// The PostgreSQL database that it is on.
    pub fn database(&self) -> Option<&Arc<PostgresDatabase>> {
        self.database.as_ref()
    }

    /// Without a setting, by its variable.
    pub fn without(mut self, variable: &str) -> Self {
        self.variables.retain(|(name, _)| name != variable);
        self
    }

    /// With one more setting, by its variable.
    pub fn with(mut self, variable: &str, value: impl Into<String>) -> Self {
        self.variables.push((variable.to_owned(), value.into()));
        self
    }

    /// The command, ready to be started.
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

    /// The settings of this deployment, for any command.
    fn settings(&self, command: &mut Command) {
        // Many servers share few processors here, unoptimised: how long requests wait says nothing of a
        // server.
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
        let log = File::options().create(true).append(true).open(folder.join("stderr.log")).unwrap();
        let mut command = setup.command(&folder);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = lines_of(child.stdout.take().unwrap());
        let mut server =
            Self { child, url: String::new(), folder, client: client(), lines: Vec::new(), setup };
        server.wait_for_address(&out).await;
        server.wait_until_ready().await;
        // What is said once it is ready; the last line is empty or the pipe is closed.
        while let Ok(line) = out.recv_timeout(POLL_EVERY) {
            server.lines.push(line);
        }
        // The rest is read and dropped, so that the server never waits for a reader.
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
                Err(mpsc::RecvTimeoutError::Disconnected) => self.give_up("ended before it listened"),
            }
            if patience.elapsed() > START_WITHIN {
                self.give_up("did not say where it listens");
            }
        }
    }

    /// Waits until it says that it can serve.
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
        panic!("the server {why}; it said:\n{}\n{}", self.lines.join("\n"), self.log());
    }

    /// The address of a path of this server.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap_or_default()
    }

    /// The lines it wrote to the output when it started.
    pub fn greeting(&self) -> String {
        self.lines.join("\n")
    }

    /// What it has logged so far.
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

    /// A short command on what this server keeps: the binary with its first words, the folder and the
    /// database.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = smallrun();
        command.args(words).arg("--data").arg(self.folder.path());
        self.setup.settings(&mut command);
        command
    }

    /// Starts one more process that works for this server's deployment: `smallrun work`.
    pub fn start_worker(&self, words: &[&str]) -> Worker {
        let log = File::options().create(true).append(true).open(self.folder.join("stderr.log")).unwrap();
        let mut command = self.command(&[&["work"], words].concat());
        // Links and webhooks go to the server, whose port the system has given out.
        command.env("SMALLRUN_PUBLIC_URL", &self.url);
        Worker(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// The virtual host of RabbitMQ that it runs on.
    pub fn broker(&self) -> &TestBroker {
        self.setup.broker()
    }

    /// Where its database is.
    pub fn database_url(&self) -> String {
        let in_folder = || format!("sqlite://{}", self.folder.join("smallrun.sqlite").display());
        self.setup.database.as_ref().map_or_else(in_folder, |database| database.url.clone())
    }

    /// A setup that starts the same again: same folder, same database.
    pub fn same_again(&self) -> Setup {
        self.setup.clone()
    }

    /// A bearer token of the demo: `buyer`, `creator` or `admin`.
    pub fn demo_token(&self, role: &str) -> String {
        let text = fs::read_to_string(self.folder.join("demo-tokens.json")).unwrap();
        let tokens: Value = serde_json::from_str(&text).unwrap();
        tokens[role].as_str().unwrap().to_owned()
    }

    /// Sends one operation; answers the status and the whole body.
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

    /// Sends one operation that must go well; answers its `data`.
    pub async fn graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let (status, body) = self.send(token, query, variables).await;
        assert!(status == 200 && body.get("errors").is_none(), "{status} {body:#} for {query}");
        body["data"].clone()
    }

    /// Signs in with a password; answers the bearer token.
    pub async fn sign_in(&self, email: &str, password: &str) -> String {
        let query = "mutation($input: SessionSignInInput!) { sessionSignIn(input: $input) { token errors { code } } }";
        let input = json!({ "input": { "email": email, "password": password } });
        let data = self.graphql(None, query, input).await;
        let token = data["sessionSignIn"]["token"].as_str();
        token.unwrap_or_else(|| panic!("{email} could not sign in: {data}")).to_owned()
    }

    /// Repeats an operation until its data satisfy the condition.
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
            assert!(patience.elapsed() < SOON, "in {SOON:?} it did not come to that: {data:#}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// The newest letter to an address that holds a text, from the mail folder.
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

    /// Asks it to stop, as an operator does, and waits for its end.
    pub async fn stop(self) -> (ExitStatus, Duration) {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Waits for its end, when it has been asked to stop.
    pub async fn ended(mut self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, asked.elapsed());
            }
            assert!(asked.elapsed() < SOON, "it did not stop; it said:\n{}", self.log());
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A running `smallrun work`; it ends with its value, at once.
#[derive(Debug)]
pub struct Worker(Child);

impl Worker {
    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to stop, and waits for its end.
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

/// A client that lets a connection go well before the server does, which would be too late for a request on
/// its way.
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
    // Names begin with the time.
    names.sort();
    let letters = names.iter().rev().filter_map(|path| fs::read_to_string(path).ok());
    let mut letters = letters.map(|text| text.replace("=\r\n", "").replace("=3D", "="));
    letters.find(|text| text.contains(to) && text.contains(holding))
}

/// A database on the test server, with an owner of its own who is no superuser, as in production. Both go
/// with the value.
#[derive(Debug)]
pub struct PostgresDatabase {
    server: String,
    pub name: String,
    owner: String,
    /// Whether the owner goes with it.
    owner_goes: bool,
    pub url: String,
}

impl PostgresDatabase {
    /// Makes an empty database on the server that `SMALLRUN_TEST_POSTGRES_URL` names.
    pub async fn create() -> Arc<Self> {
        let server = std::env::var("SMALLRUN_TEST_POSTGRES_URL")
            .expect("run scripts/test, or set SMALLRUN_TEST_POSTGRES_URL");
        Self::create_on(&server).await
    }

    /// Makes a copy of a database to which nobody is connected. It belongs to the owner of the original, as
    /// what is in it does, and must go before it.
    pub async fn copy_of(other: &Self) -> Arc<Self> {
        let copied = Self::named(&other.server, &other.owner, false);
        copied
            .run(&format!("CREATE DATABASE {} OWNER {} TEMPLATE {}", copied.name, copied.owner, other.name))
            .await;
        Arc::new(copied)
    }

    /// Makes an empty database on that server.
    async fn create_on(server: &str) -> Arc<Self> {
        let made = Self::named(server, "", true);
        let connection = Database::connect(made.server.as_str()).await.unwrap();
        make_role(&connection, TENANT_ROLE).await.unwrap();
        connection.close().await.unwrap();
        made.run(&format!("CREATE ROLE {0} LOGIN PASSWORD '{0}' IN ROLE {TENANT_ROLE}", made.owner)).await;
        made.run(&format!("CREATE DATABASE {} OWNER {}", made.name, made.owner)).await;
        Arc::new(made)
    }

    /// With a name of its own; its owner has the same unless it is another's.
    fn named(server: &str, owner: &str, owner_goes: bool) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("smallrun_binary_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let owner = if owner_goes { name.clone() } else { owner.to_owned() };
        let (base, _) = server.rsplit_once('/').unwrap();
        let (_, host) = base.rsplit_once(['@', '/']).unwrap();
        let url = format!("postgres://{owner}:{owner}@{host}/{name}");
        Self { server: server.to_owned(), name, owner, owner_goes, url }
    }

    /// The host and the port of its server.
    fn address(&self) -> String {
        let (_, rest) = self.server.split_once('@').unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    /// As a superuser.
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
        // A runtime of its own: this may run within one, where blocking is forbidden.
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
