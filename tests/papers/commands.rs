//! The commands of the pages: `sh` blocks run in a folder beside a demo's, and those that cannot run are
//! parsed.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::papers::{
    harness::{Folder, Server, run, smallrun},
    pages::{Block, Page, files, relative, root},
};

const RUNS: &str = "sh";
const DOES_NOT_RUN: &str = "sh no-test";

/// What the pages call the program, and the folder and the address of the demo.
const PRELUDE: &str = r#"
set -euo pipefail
smallrun() { "$BINARY" "$@"; }
cargo() {
    [[ $1 == run ]] || { echo "cargo $1 is not for this test: mark the block as no-test" >&2; return 1; }
    while [[ $1 != -- ]]; do shift; done
    shift
    smallrun "$@"
}
curl() { command curl --silent --show-error --fail-with-body --max-time 20 "$@"; }
"#;

/// A folder in which the commands of the pages run: `data` is that of the demo.
pub(crate) struct Workshop<'a> {
    server: &'a Server,
    folder: std::sync::Arc<Folder>,
    /// The id of a creator, and the slugs of a creator and of one of its drops.
    pub(crate) creator_id: String,
    pub(crate) creator_slug: String,
    pub(crate) drop_slug: String,
}

impl<'a> Workshop<'a> {
    pub(crate) fn new(server: &'a Server, creator: [&str; 2], drop_slug: &str) -> Self {
        let folder = Folder::new();
        std::os::unix::fs::symlink(server.folder().path(), folder.join("data")).unwrap();
        fs::write(folder.join("products.csv"), "title,sku,price\nMade by a page,PAGE-1,12.00\n").unwrap();
        let [creator_id, creator_slug] = creator.map(str::to_owned);
        Self { server, folder, creator_id, creator_slug, drop_slug: drop_slug.to_owned() }
    }

    /// Runs a block to its end, which must be a good one; answers of the API must have no errors.
    pub(crate) fn run(&self, block: &Block) {
        let text = block
            .text
            .replace("127.0.0.1:8080", self.server.address())
            .replace("\"CREATOR\"", &format!("{:?}", self.creator_slug))
            .replace("\"SLUG\"", &format!("{:?}", self.drop_slug));
        let mut command = Command::new("bash");
        command.arg("-c").arg(format!("{PRELUDE}{text}")).current_dir(self.folder.path());
        command.env("BINARY", smallrun().get_program());
        command.env("TOKEN", self.server.demo_token("creator")).env("CREATOR", &self.creator_id);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SMALLRUN_")) {
            command.env_remove(name);
        }
        let output = command.stdin(Stdio::null()).output().expect("bash can be run");
        let [stdout, stderr] = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        assert!(output.status.success(), "{}: {}\n{stdout}\n{stderr}", block.place, output.status);
        if stdout.starts_with('{') {
            for answer in serde_json::Deserializer::from_str(&stdout).into_iter::<Value>() {
                let answer = answer.unwrap_or_else(|error| panic!("{}: {error} in {stdout}", block.place));
                assert_no_errors(&answer, &block.place);
            }
        }
    }

    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }
}

/// Neither of the request, nor in the payload of a mutation.
pub(crate) fn assert_no_errors(answer: &Value, place: &str) {
    assert!(answer.get("errors").is_none() && answer["data"].is_object(), "{place}: {answer:#}");
    for payload in answer["data"].as_object().unwrap().values() {
        let errors = payload.get("errors").and_then(Value::as_array);
        assert!(errors.is_none_or(Vec::is_empty), "{place}: {answer:#}");
    }
}

/// The blocks that run; those that move the clock of the demo come last.
pub(crate) fn that_run() -> Vec<Block> {
    let mut blocks: Vec<Block> = Page::all().iter().flat_map(Page::blocks).collect();
    blocks.retain(|block| block.info == RUNS);
    blocks.sort_by_key(|block| block.text.contains("travel"));
    blocks
}

/// The commands of a block, one a line; without comments, and with lines that go on put together.
fn lines(block: &Block) -> Vec<String> {
    let text = block.text.replace("\\\n", " ");
    let code = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    text.lines().map(code).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn every_block_of_commands_runs_or_says_why_it_cannot() {
    for page in Page::all() {
        for block in page.blocks() {
            let known = ["", "arrows", "graphql", "js", "json", "rust", "sql", "text", RUNS, DOES_NOT_RUN];
            assert!(known.contains(&block.info.as_str()), "{}: {}", block.place, block.info);
            assert!(
                block.info != DOES_NOT_RUN || block.has_reason,
                "{}: a comment above says why it cannot run",
                block.place
            );
        }
    }
}

/// The names of the test binaries: files and folders of `tests/`, and those that manifests name.
fn test_targets() -> Vec<String> {
    let mut targets = Vec::new();
    for path in files() {
        let name = relative(&path);
        if name.ends_with("Cargo.toml") {
            let manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
            let named = manifest.get("test").and_then(toml::Value::as_array).into_iter().flatten();
            targets.extend(named.filter_map(|test| Some(test.get("name")?.as_str()?.to_owned())));
        } else if let Some(inside) = name.strip_prefix("tests/") {
            let target = inside.strip_suffix("/main.rs").or_else(|| inside.strip_suffix(".rs"));
            targets.extend(target.filter(|target| !target.contains('/')).map(str::to_owned));
        }
    }
    targets
}

/// `--help` at the end: clap reads the words before it, and complains about one that it does not know.
#[test]
fn commands_that_cannot_run_are_spelt_rightly_all_the_same() {
    let packages: Vec<String> = files()
        .iter()
        .filter(|path| path.ends_with("Cargo.toml"))
        .filter_map(|path| {
            let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
            Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
        })
        .collect();
    let targets = test_targets();
    for block in Page::all().iter().flat_map(Page::blocks).filter(|block| block.info == DOES_NOT_RUN) {
        for line in lines(&block) {
            let place = format!("{}: {line}", block.place);
            let mut words: Vec<&str> = line.split_whitespace().collect();
            while words.first().is_some_and(|word| word.contains('=') || *word == "export") {
                words.remove(0);
            }
            if let Some(script) = words.first().filter(|word| word.starts_with("scripts/")) {
                assert!(Path::new(&root().join(script)).exists(), "{place}");
            }
            for pair in words.windows(2) {
                match pair[0] {
                    "-p" if words[0] != "rabbitmqctl" => {
                        assert!(packages.contains(&pair[1].to_owned()), "{place}")
                    }
                    "--test" => assert!(targets.contains(&pair[1].to_owned()), "{place}"),
                    _ => {}
                }
            }
            let ours = match words.as_slice() {
                ["smallrun", ours @ ..] => Some(ours),
                ["cargo", "run", ..] => {
                    words.iter().position(|word| *word == "--").map(|at| &words[at + 1..])
                }
                _ => None,
            };
            if let Some(ours) = ours {
                let before_redirection = ours.iter().take_while(|word| !matches!(**word, ">" | "|"));
                let ended = run(before_redirection.chain(&["--help"]));
                assert_eq!(ended.code, Some(0), "{place}: {ended:#?}");
            }
        }
    }
}
