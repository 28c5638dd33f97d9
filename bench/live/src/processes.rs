//! The measured servers. Each is a separate process, so that its memory can be measured.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The timeout of a start, including the creation of the demo.
const START_WITHIN: Duration = Duration::from_secs(180);

/// Raises the limit of open files, and with it of connections.
pub(crate) fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("the limit of open files can be raised");
}

/// A running server. It is killed on drop, and its folder is deleted.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    folder: Option<PathBuf>,
}

impl Process {
    /// Starts the floor, which is this program.
    pub(crate) async fn floor() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        Self::start(command.arg("--floor"), None).await
    }

    /// Starts the real binary: the given file, or a new build.
    pub(crate) async fn smallrun(file: Option<&str>) -> Self {
        let file = match file {
            Some(file) => PathBuf::from(file),
            None => build().await,
        };
        let folder = std::env::temp_dir().join(format!("smallrun-bench-live-{}", std::process::id()));
        let mut command = Command::new(file);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SMALLRUN_")) {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--demo", "--listen", "127.0.0.1:0", "--data"]).arg(&folder);
        // All connections come from one address, and the changes never pause.
        for name in [
            "CONNECTIONS_MAX",
            "CONNECTIONS_PER_ADDRESS_MAX",
            "LIVE_CONNECTIONS_MAX",
            "LIVE_CONNECTIONS_PER_ADDRESS_MAX",
        ] {
            command.env(format!("SMALLRUN_{name}"), "20000");
        }
        command.env("SMALLRUN_BUDGET", "false").env("SMALLRUN_LOG", "warn");
        let process = Self::start(&mut command, Some(folder)).await;
        let (patience, client) = (Instant::now(), reqwest::Client::new());
        while !client.get(process.at("/readyz")).send().await.is_ok_and(|answer| answer.status().is_success())
        {
            assert!(patience.elapsed() < START_WITHIN, "the server did not become ready");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        process
    }

    async fn start(command: &mut Command, folder: Option<PathBuf>) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the server can be started");
        let mut lines = BufReader::new(child.stdout.take().expect("the server's output")).lines();
        let address = tokio::time::timeout(START_WITHIN, async {
            while let Some(line) = lines.next_line().await.expect("the server's output") {
                if let Some((_, rest)) = line.split_once("http://") {
                    return rest.split(['/', ' ']).next().and_then(|address| address.parse().ok());
                }
            }
            None
        });
        let address =
            address.await.expect("the server starts in time").expect("the server prints its address");
        // The rest of the output is read and dropped, so that the server never blocks on it.
        tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
        Self { child, address, folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns a token of the demo.
    pub(crate) fn demo_token(&self, role: &str) -> String {
        let folder = self.folder.as_deref().expect("a demo");
        let tokens = fs::read(folder.join("demo-tokens.json")).expect("the demo's tokens");
        let tokens: Value = serde_json::from_slice(&tokens).expect("the demo's tokens");
        tokens.get(role).and_then(Value::as_str).expect("a token of that role").to_owned()
    }

    /// Returns the number of subscribers' connections.
    pub(crate) async fn connections(&self) -> String {
        let metrics = reqwest::get(self.at("/metrics"))
            .await
            .expect("the server responds")
            .text()
            .await
            .expect("the metrics are text");
        let line = metrics.lines().find_map(|line| line.strip_prefix("smallrun_live_connections "));
        line.expect("the server counts its connections").to_owned()
    }

    /// Returns the resident memory of the server in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let id = self.child.id().expect("the server runs");
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("the process has a status");
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the status has the memory");
        line.split_whitespace()
            .next()
            .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
            .expect("the status has the memory")
            .saturating_mul(1_024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_before = self.child.start_kill();
        if let Some(folder) = &self.folder {
            let _left_for_the_system = fs::remove_dir_all(folder);
        }
    }
}

/// Builds the binary next to this program.
async fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    for (name, _) in std::env::vars_os() {
        // `cargo run` sets these variables for the package that it runs. Build scripts that read them would
        // run again, and everything that depends on them would be rebuilt.
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            build.env_remove(name);
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let build = build
        .args(["build", "--profile", "dist", "--locked", "--package", "smallrun", "--bin", "smallrun"])
        .current_dir(root);
    assert!(build.status().await.expect("cargo can be run").success(), "smallrun could not be built");
    std::env::current_exe().expect("this program").with_file_name("smallrun")
}
