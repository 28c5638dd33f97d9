//! The reference clients, `graphql-ws` and `graphql-sse` of npm, against the real binary.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;

use crate::{harness::Setup, market::Market};

/// The folder of the scripts, with the packages that their lock file pins.
fn scripts() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/live");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("clients-live");
    std::fs::create_dir_all(&target).unwrap();
    for file in ["package.json", "package-lock.json", "websocket.mjs", "events.mjs"] {
        std::fs::copy(folder.join(file), target.join(file)).unwrap();
    }
    let lock = std::fs::read(target.join("package-lock.json")).unwrap();
    let installed = target.join("node_modules/.installed");
    if std::fs::read(&installed).ok().as_ref() != Some(&lock) {
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&target);
        let installing = install.stdin(Stdio::null()).output().expect("npm can be run");
        assert!(installing.status.success(), "{}", String::from_utf8_lossy(&installing.stderr));
        std::fs::write(installed, lock).unwrap();
    }
    target
}

#[tokio::test]
async fn the_reference_clients_are_served() {
    let market = Market::open(Setup::empty().with("SMALLRUN_LIVE_KEEP_ALIVE_SECS", "1"), 50, 2).await;
    let scripts = tokio::task::spawn_blocking(scripts).await.unwrap();
    let given = json!({
        "url": market.at("/graphql"), "drop": market.drop, "token": market.buyers[0],
        "reserve": crate::market::mutation("checkoutReserve", "checkout { id status }"),
        "input": market.reserving(&market.item, "KEY"),
    });
    for script in ["websocket.mjs", "events.mjs"] {
        let (folder, given) = (scripts.clone(), given.to_string());
        let run = move || Command::new("node").arg(script).arg(given).current_dir(folder).stdin(Stdio::null()).output();
        let ended = tokio::task::spawn_blocking(run).await.unwrap().expect("node can be run");
        let said = format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success(), "{script}:\n{said}");
        println!("{said}");
    }
}
