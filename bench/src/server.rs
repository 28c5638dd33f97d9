//! The real server, started as an operator would.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::{
    Outcome, Trouble,
    client::{self, Connection},
    options::Options,
    progress,
    store::{Store, tail},
};

/// How long the start may take, with the demo's load.
const START_WITHIN: Duration = Duration::from_secs(180);
/// How long making buyers may take.
const BUYERS_WITHIN: Duration = Duration::from_secs(180);
/// How often it is asked whether it is ready.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// Finds the program, after building what is not up to date.
pub(crate) async fn binary(options: &Options) -> Outcome<PathBuf> {
    if let Some(file) = &options.smallrun {
        return Ok(file.clone());
    }
    progress("Building smallrun: cargo build --release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let arguments = ["build", "--release", "--locked", "--package", "smallrun", "--bin", "smallrun"];
    let mut build = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        // `cargo run` says here which package runs; a build script that reads them (ring's) would run again, and all that
        // stands on it would be built again.
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            build.env_remove(name);
        }
    }
    let built = build.args(arguments).current_dir(root).kill_on_drop(true).status().await;
    if !built.map_err(Trouble::doing("run cargo"))?.success() {
        return Err(Trouble::new("smallrun could not be built"));
    }
    // This program is `TARGET/PROFILE/bench`.
    let this = std::env::current_exe().map_err(Trouble::doing("find this program"))?;
    let target = this.parent().and_then(Path::parent).ok_or_else(|| Trouble::new("could not find the target folder"))?;
    Ok(target.join("release").join("smallrun"))
}

/// A running server. It ends with its value.
pub(crate) struct Server {
    _child: Child,
    binary: PathBuf,
    address: SocketAddr,
    data: PathBuf,
    database_url: Option<(&'static str, String)>,
}

impl Server {
    /// Starts it on a free port, and waits until it is ready.
    pub(crate) async fn start(binary: &Path, store: &Store) -> Outcome<Self> {
        let address = free_address().map_err(Trouble::doing("find a free port"))?;
        let log = File::create(store.log()).map_err(Trouble::doing("write the server's log"))?;
        let both = log.try_clone().map_err(Trouble::doing("write the server's log"))?;
        let database_url = store.database_url().map(|(name, url)| (name, url.to_owned()));
        let mut command = command(binary, &store.data(), database_url.as_ref());
        command.args(["serve", "--demo", "--listen", &address.to_string()]).stdout(both).stderr(log);
        let doing = format!("start `{}`", binary.display());
        let mut child = command.spawn().map_err(Trouble::doing(doing))?;
        let patience = Instant::now();
        while !is_ready(address).await {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(Trouble::new(format_args!("smallrun ended; it said:\n{}", tail(&store.log()))));
            }
            if patience.elapsed() > START_WITHIN {
                return Err(Trouble::new(format_args!("smallrun did not become ready; it said:\n{}", tail(&store.log()))));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(Self { _child: child, binary: binary.to_owned(), address, data: store.data(), database_url })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes buyers of the demo, and answers their tokens.
    pub(crate) async fn make_buyers(&self, count: u32) -> Outcome<Vec<String>> {
        progress(format_args!("Making {count} buyers: smallrun demo --buyers {count}"));
        let mut command = command(&self.binary, &self.data, self.database_url.as_ref());
        command.args(["demo", "--buyers", &count.to_string()]).stdout(Stdio::null()).stderr(Stdio::piped());
        let running = command.spawn().map_err(Trouble::doing("run `smallrun demo`"))?;
        let ended = tokio::time::timeout(BUYERS_WITHIN, running.wait_with_output()).await;
        let ended = ended.map_err(|_| Trouble::new("`smallrun demo --buyers` took too long"))?;
        let ended = ended.map_err(Trouble::doing("run `smallrun demo`"))?;
        if !ended.status.success() {
            return Err(Trouble::new(format_args!("`smallrun demo` failed: {}", String::from_utf8_lossy(&ended.stderr).trim())));
        }
        let buyers = self.read("demo-buyers.json")?;
        let buyers: Vec<String> = buyers.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if buyers.is_empty() { Err(Trouble::new("demo-buyers.json has no tokens")) } else { Ok(buyers) }
    }

    /// Sets the demo's clock forward.
    pub(crate) async fn travel(&self, by: &str) -> Outcome<()> {
        let mut command = command(&self.binary, &self.data, self.database_url.as_ref());
        let status = command.args(["demo", "travel", by]).stdout(Stdio::null()).status().await;
        if status.map_err(Trouble::doing("run `smallrun demo travel`"))?.success() {
            return Ok(());
        }
        Err(Trouble::new("`smallrun demo travel` failed"))
    }

    /// The token of the demo's creator.
    pub(crate) fn creator_token(&self) -> Outcome<String> {
        let tokens = self.read("demo-tokens.json")?;
        let token = tokens.get("creator").and_then(Value::as_str).map(str::to_owned);
        token.ok_or_else(|| Trouble::new("demo-tokens.json has no `creator`"))
    }

    fn read(&self, name: &str) -> Outcome<Value> {
        let text = fs::read(self.data.join(name)).map_err(Trouble::doing(format_args!("read {name}")))?;
        serde_json::from_slice(&text).map_err(Trouble::doing(format_args!("understand {name}")))
    }
}

/// The program with the settings of this measurement and no others. It is killed when it is dropped.
fn command(binary: &Path, data: &Path, database_url: Option<&(&'static str, String)>) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("SMALLRUN_")) {
            command.env_remove(name);
        }
    }
    if let Some((name, url)) = database_url {
        command.env(name, url);
    }
    command.arg("--data").arg(data).stdin(Stdio::null()).kill_on_drop(true);
    command
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
