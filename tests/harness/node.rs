//! Runs the scripts of `tests/clients` with Node, and installs their packages.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Runs a script of one of the folders, and returns its output. Panics if the script fails.
pub(crate) fn run(folder: &str, script: &str, arguments: &[&str]) -> String {
    ended_well(Command::new("node").arg(script).args(arguments).current_dir(installed(folder)))
}

fn ended_well(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{command:?} cannot be run ({error}): scripts/test installs Node with npm")
    });
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?} ended with {}: {stdout}\n{stderr}", output.status);
    stdout
}

/// Installs the packages of a folder. The registry is not part of what is tested, so a failed installation is
/// tried again.
fn install(folder: &Path) {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]).current_dir(folder);
    for pause in [2, 10, 30] {
        let output = npm.stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => return,
            failed => println!("npm could not install the packages of {}: {failed:?}", folder.display()),
        }
        std::thread::sleep(Duration::from_secs(pause));
    }
    ended_well(&mut npm);
}

/// Copies the scripts of a folder and the schema to the target folder, installs their packages there, and
/// builds them if needed. Tests run in separate processes, so a file lock ensures that only one of them
/// installs: two runs of npm at the same time can disturb each other in npm's cache.
fn installed(name: &str) -> PathBuf {
    let (root, tmp) = (Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let folder = tmp.join("clients").join(name);
    fs::create_dir_all(&folder).unwrap();
    let turn = File::create(tmp.join("clients.lock")).unwrap();
    turn.lock().unwrap();
    let ours =
        fs::read_dir(root.join("tests/clients").join(name)).unwrap().map(|entry| entry.unwrap().path());
    // Skip folders, which exist if somebody has run the scripts by hand.
    let ours = ours.filter(|path| path.is_file());
    let mut changed = false;
    for file in ours.chain([root.join("schema.graphql")]) {
        let (new, to) = (fs::read(&file).unwrap(), folder.join(file.file_name().unwrap()));
        // Do not rewrite unchanged files, because another test may be reading them.
        if fs::read(&to).ok().as_ref() != Some(&new) {
            fs::write(to, new).unwrap();
            changed = true;
        }
    }
    let wanted = fs::read(folder.join("package-lock.json")).unwrap();
    let mark = folder.join("installed-lock.json");
    if fs::read(&mark).ok().as_ref() != Some(&wanted) {
        install(&folder);
        fs::write(mark, wanted).unwrap();
        changed = true;
    }
    let built = folder.join("built");
    if changed || !built.exists() {
        // Remove the mark of an earlier build.
        let _not_built_before = fs::remove_file(&built);
        ended_well(
            Command::new("npm").args(["run", "build", "--if-present", "--silent"]).current_dir(&folder),
        );
        fs::write(built, []).unwrap();
    }
    folder
}
