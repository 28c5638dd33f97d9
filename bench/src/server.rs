//! The real server, started as an operator would start it.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    Outcome, Trouble,
    client::{self, Connection},
    progress,
    store::{Store, tail},
};

/// The timeout of a start, including the creation of the demo.
const START_WITHIN: Duration = Duration::from_secs(180);
/// The timeout of creating buyers.
const BUYERS_WITHIN: Duration = Duration::from_secs(180);
/// The interval of readiness checks.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// The timeout of a stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// Returns the given program, or builds the real one if it is not up to date.
pub async fn binary(given: Option<&Path>) -> Outcome<PathBuf> {
    if let Some(file) = given {
        return Ok(file.to_owned());
    }
    progress("Building smallrun: cargo build --profile dist");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments = ["build", "--profile", "dist", "--locked", "--package", "smallrun", "--bin", "smallrun"];
    let mut build = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        // `cargo run` sets these variables for the package that it runs. Build scripts that read them
        // (ring's) would run again, and everything that depends on them would be rebuilt.
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            build.env_remove(name);
        }
    }
    let built = build.args(arguments).current_dir(root).kill_on_drop(true).status().await;
    if !built.map_err(Trouble::doing("run cargo"))?.success() {
        return Err(Trouble::new("smallrun could not be built"));
    }
    // The path of this program is `TARGET/PROFILE/bench`.
    let this = std::env::current_exe().map_err(Trouble::doing("find this program"))?;
    let target = this
        .parent()
        .and_then(Path::parent)
        .ok_or_else(|| Trouble::new("could not find the target folder"))?;
    Ok(target.join("dist").join("smallrun"))
}

/// A program with the settings of a measurement and no others.
#[derive(Debug, Clone)]
pub struct Launch {
    binary: PathBuf,
    data: PathBuf,
    settings: Vec<(String, String)>,
}

impl Launch {
    /// Creates a launch that uses the store's folder and database.
    pub fn new(binary: PathBuf, store: &Store) -> Self {
        let settings = store.database_url().map(|(name, url)| (name.to_owned(), url.to_owned()));
        Self { binary, data: store.data(), settings: settings.into_iter().collect() }
    }

    /// Sets an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Applies the migrations. On PostgreSQL the server does not do it.
    async fn migrate(&self) -> Outcome<()> {
        let doing = Trouble::doing(format!("run `{} migrate up`", self.binary.display()));
        let ended = self.command().args(["migrate", "up"]).output().await.map_err(doing)?;
        if ended.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&ended.stderr);
        Err(Trouble::new(format_args!("`smallrun migrate up` failed:\n{said}")))
    }

    /// Returns a command. Its process is killed on drop.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SMALLRUN_")) {
                command.env_remove(name);
            }
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.arg("--data").arg(&self.data).stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}

/// A running server. It is killed on drop.
pub struct Server {
    child: Child,
    launch: Launch,
    address: SocketAddr,
}

impl Server {
    /// Starts the server on a free port with these options of `serve`, and waits until it is ready. Its
    /// output goes to the file `said`.
    pub async fn start(launch: &Launch, options: &[&str], said: &Path) -> Outcome<Self> {
        let address = free_address().map_err(Trouble::doing("find a free port"))?;
        let log = File::create(said).map_err(Trouble::doing("write the server's log"))?;
        let both = log.try_clone().map_err(Trouble::doing("write the server's log"))?;
        launch.migrate().await?;
        let mut command = launch.command();
        command.arg("serve").args(options).args(["--listen", &address.to_string()]).stdout(both).stderr(log);
        let doing = format!("start `{}`", launch.binary.display());
        let mut child = command.spawn().map_err(Trouble::doing(doing))?;
        let patience = Instant::now();
        while !is_ready(address).await {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(Trouble::new(format_args!("smallrun exited; its last output:\n{}", tail(said))));
            }
            if patience.elapsed() > START_WITHIN {
                return Err(Trouble::new(format_args!(
                    "smallrun did not become ready; its last output:\n{}",
                    tail(said)
                )));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(Self { child, launch: launch.clone(), address })
    }

    /// Sends SIGTERM, so that the server hands over its work, and waits until it has exited.
    pub async fn stop(mut self) -> Outcome<()> {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id {
            kill_process(id, Signal::TERM).map_err(Trouble::doing("stop a server"))?;
        }
        let ended = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        ended.map_err(|_| Trouble::new("a server did not stop"))?.map_err(Trouble::doing("stop a server"))?;
        Ok(())
    }

    /// Returns the process id while the server runs.
    pub fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Creates buyers in the demo, and returns their tokens.
    pub async fn make_buyers(&self, count: u32) -> Outcome<Vec<String>> {
        progress(format_args!("Creating {count} buyers: smallrun demo --buyers {count}"));
        let mut command = self.launch.command();
        command.args(["demo", "--buyers", &count.to_string()]).stdout(Stdio::null()).stderr(Stdio::piped());
        let running = command.spawn().map_err(Trouble::doing("run `smallrun demo`"))?;
        let ended = tokio::time::timeout(BUYERS_WITHIN, running.wait_with_output()).await;
        let ended = ended.map_err(|_| Trouble::new("`smallrun demo --buyers` took too long"))?;
        let ended = ended.map_err(Trouble::doing("run `smallrun demo`"))?;
        if !ended.status.success() {
            return Err(Trouble::new(format_args!(
                "`smallrun demo` failed: {}",
                String::from_utf8_lossy(&ended.stderr).trim()
            )));
        }
        let buyers = self.read("demo-buyers.json")?;
        let buyers: Vec<String> =
            buyers.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if buyers.is_empty() { Err(Trouble::new("demo-buyers.json has no tokens")) } else { Ok(buyers) }
    }

    /// Advances the demo's clock.
    pub async fn travel(&self, by: &str) -> Outcome<()> {
        let mut command = self.launch.command();
        let status = command.args(["demo", "travel", by]).stdout(Stdio::null()).status().await;
        if status.map_err(Trouble::doing("run `smallrun demo travel`"))?.success() {
            return Ok(());
        }
        Err(Trouble::new("`smallrun demo travel` failed"))
    }

    /// Returns the token of the demo's creator.
    pub fn creator_token(&self) -> Outcome<String> {
        let tokens = self.read("demo-tokens.json")?;
        let token = tokens.get("creator").and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| Trouble::new("demo-tokens.json has no `creator`"))
    }

    fn read(&self, name: &str) -> Outcome<Value> {
        let text =
            fs::read(self.launch.data.join(name)).map_err(Trouble::doing(format_args!("read {name}")))?;
        serde_json::from_slice(&text).map_err(Trouble::doing(format_args!("parse {name}")))
    }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else { return false };
    let answer = tokio::time::timeout(Duration::from_secs(5), async {
        connection.exchange(&client::get(address, "/readyz")).await.is_ok_and(|answer| answer.status == 200)
    });
    answer.await.unwrap_or(false)
}
