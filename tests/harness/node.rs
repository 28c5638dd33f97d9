//! Runs the scripts of `tests/clients` with Node, with their packages installed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// Runs a script to its end; answers what it wrote to the output. It must end well.
pub(crate) fn run(script: &str, arguments: &[&str]) -> String {
    let output = Command::new("node").arg(script).args(arguments).current_dir(installed()).output();
    let output = output.expect("node cannot be run: scripts/test installs it");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{script} ended with {}: {stdout}\n{stderr}", output.status);
    stdout
}

/// The scripts beside their packages, in the target folder. Tests are processes of their own: one of them installs.
fn installed() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (from, folder) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients"), tmp.join("clients"));
    fs::create_dir_all(&folder).unwrap();
    let turn = File::create(tmp.join("clients.lock")).unwrap();
    turn.lock().unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file()) {
        let (new, to) = (fs::read(entry.path()).unwrap(), folder.join(entry.file_name()));
        // Another test may be reading it.
        if fs::read(&to).ok().as_ref() != Some(&new) {
            fs::write(to, new).unwrap();
        }
    }
    let wanted = fs::read(folder.join("package-lock.json")).unwrap();
    let mark = folder.join("installed-lock.json");
    if fs::read(&mark).ok().as_ref() != Some(&wanted) {
        let install = Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder).output();
        let install = install.expect("npm cannot be run: scripts/test installs it");
        assert!(install.status.success(), "npm ci failed: {}", String::from_utf8_lossy(&install.stderr));
        fs::write(mark, wanted).unwrap();
    }
    folder
}
