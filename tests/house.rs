//! The house rules that a compiler does not know: which crate may use which, and what files and folders look like.
//!
//! The rules are those of `ARCHITECTURE.md`. A new crate, or a new arrow between two, is added to [`RULES`] in the same
//! change that argues for it.

#![expect(clippy::expect_used, reason = "a test that cannot read the tree has nothing else to say")]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What one workspace crate may depend on.
struct Rule {
    /// The package's name; its folder is of the same name, and the root is `smallrun`.
    package: &'static str,
    /// The workspace crates it may use.
    ours: &'static [&'static str],
    /// Crates from outside that it must not use, by the start of their names.
    never: &'static [&'static str],
}

/// The front of every crate that speaks HTTP or GraphQL to the world, for those that must not.
const EDGE: &[&str] = &["actix", "async-graphql", "axum", "hyper"];
/// What reaches over the network, for those that must not even be able to.
const OUTSIDE: &[&str] = &["actix", "async-graphql", "axum", "hyper", "lapin", "reqwest", "lettre", "async-stripe", "object_store"];
/// Pixels or jobs in, answer out: an engine has nothing to wait for.
const ANY_IO: &[&str] =
    &["actix", "async-graphql", "axum", "hyper", "lapin", "reqwest", "sea-orm", "sqlx", "tokio", "object_store"];

const RULES: &[Rule] = &[
    Rule {
        package: "smallrun",
        ours: &["api", "domain", "imaging", "migrations", "payments", "routing", "search", "storefront", "workers"],
        never: &[],
    },
    Rule { package: "api", ours: &["domain", "imaging", "payments", "routing", "search"], never: &["lapin"] },
    Rule { package: "workers", ours: &["domain", "imaging", "payments", "routing", "search"], never: EDGE },
    // Speaks the public GraphQL schema over HTTP, as any other storefront must.
    Rule { package: "storefront", ours: &[], never: &["sea-orm", "sqlx", "lapin"] },
    Rule { package: "payments", ours: &["domain"], never: &["actix", "async-graphql", "lapin"] },
    Rule { package: "search", ours: &["domain"], never: &["actix", "async-graphql", "lapin", "reqwest"] },
    Rule { package: "imaging", ours: &["domain"], never: ANY_IO },
    Rule { package: "routing", ours: &["domain"], never: ANY_IO },
    Rule { package: "domain", ours: &[], never: OUTSIDE },
    Rule { package: "migrations", ours: &[], never: OUTSIDE },
    // The databases that tests run on: never part of what is shipped.
    Rule { package: "testkit", ours: &["domain", "migrations"], never: EDGE },
    // Measures from outside, like a client.
    Rule { package: "bench", ours: &[], never: &[] },
    // The same, with a virtual host of its own on the tests' broker.
    // What combining costs is too little to be told from outside.
    Rule { package: "bench-hot-drop", ours: &["bench", "domain", "testkit"], never: &[] },
    Rule { package: "bench-live", ours: &[], never: &[] },
    // What goes on between processes cannot be timed from outside.
    Rule { package: "bench-bus", ours: &["domain", "testkit", "workers"], never: EDGE },
    // What comes before a request is run is microseconds: too little to be timed from outside.
    Rule { package: "bench-edge", ours: &["api", "domain", "testkit"], never: &[] },
];

/// What tests may use beyond the arrows above: the databases they run on.
const TESTS_MAY_USE: &str = "testkit";

/// Folder and module names that say nothing about what is inside.
const SAYS_NOTHING: &[&str] = &["utils", "util", "helpers", "common", "models", "services", "managers"];

/// A file that is longer has become two things.
const LINES_MAX: usize = 900;

#[test]
fn dependencies_point_one_way() {
    let manifests = manifests();
    let ours: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.package.as_str()).collect();
    let mut complaints = Vec::new();
    for manifest in &manifests {
        let package = manifest.package.as_str();
        let Some(rule) = RULES.iter().find(|rule| rule.package == package) else {
            complaints.push(format!("`{package}` has no rule in tests/house.rs: say what it may depend on"));
            continue;
        };
        for Dependency { name, for_tests } in &manifest.dependencies {
            let is_ours = ours.contains(name.as_str());
            let allowed = rule.ours.contains(&name.as_str()) || (*for_tests && name == TESTS_MAY_USE);
            if is_ours && !allowed {
                complaints.push(format!("`{package}` must not depend on `{name}`"));
            }
            if !for_tests && rule.never.iter().any(|never| name.starts_with(never)) {
                complaints.push(format!("`{package}` must not use `{name}` from outside"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let without: Vec<_> = manifests().into_iter().filter(|m| !m.takes_workspace_lints).map(|m| m.package).collect();
    assert!(without.is_empty(), "`[lints] workspace = true` is missing in: {without:?}");
}

#[test]
fn every_rust_file_says_what_it_is_for() {
    let silent: Vec<_> = rust_files().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "these files do not open with a `//!` comment: {silent:#?}");
}

#[test]
fn every_rust_file_is_read_in_one_sitting() {
    let long: Vec<_> =
        rust_files().into_iter().map(|(path, text)| (path, text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX).collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines, split by sub-capability: {long:#?}");
}

#[test]
fn folders_and_modules_are_named_by_capability() {
    let vague: Vec<_> = paths()
        .into_iter()
        .filter(|path| path.is_dir() || path.extension() == Some(OsStr::new("rs")))
        .filter(|path| path.file_stem().and_then(OsStr::to_str).is_some_and(|stem| SAYS_NOTHING.contains(&stem)))
        .collect();
    assert!(vague.is_empty(), "these names say nothing about what is inside: {vague:#?}");
}

/// In front of the second wall only the table's own `WHERE` tells tenants apart: `read_in` is the way within it.
#[test]
fn a_function_in_a_tenants_scope_does_not_read_from_the_pool() {
    let domain = root().join("domain/src");
    let mut found = BTreeSet::new();
    for (path, text) in rust_files().into_iter().filter(|(path, _)| path.starts_with(&domain)) {
        for function in text.split("\n}\n").filter_map(|item| item.split_once("fn ").map(|(_, function)| function)) {
            let (signature, body) = function.split_once('{').unwrap_or((function, ""));
            let of_tenant = ["&CreatorScope", "&TokensScope"].iter().any(|scope| signature.contains(scope));
            if of_tenant && body.contains(".reader()") {
                found.insert(format!("{}: {}", path.display(), signature.split('(').next().unwrap_or_default()));
            }
        }
    }
    assert!(found.is_empty(), "use `read_in`: {found:#?}");
}

/// Files of `domain` with several operations: each is to be split by whoever restructures its capability.
const SEVERAL_OPERATIONS: &[&str] = &["drops/items.rs", "drops/publish.rs", "reservations/tables.rs"];

/// An operation is found by its name: the file that has its refusals has it, and no other.
#[test]
fn one_operation_stands_in_one_file() {
    let domain = root().join("domain/src");
    let mut found = BTreeSet::new();
    for (path, text) in rust_files() {
        let Ok(name) = path.strip_prefix(&domain) else { continue };
        // What is asked of the platform by several capabilities stands by its subject.
        let excused = name.starts_with("platform") || SEVERAL_OPERATIONS.iter().any(|excused| name == Path::new(excused));
        let refuses = text.lines().any(|line| line.starts_with("pub enum ") && line.contains("Refusal {"));
        let functions = text.split("\npub async fn ").skip(1).filter_map(|function| function.split_once('{'));
        let operations = functions.filter(|(signature, _)| signature.contains("&Db")).count();
        if refuses && !excused && operations > 1 {
            found.insert(format!("{}: {operations} operations", name.display()));
        }
    }
    assert!(found.is_empty(), "one operation, one file: {found:#?}");
}

/// An operation is called as `capability::verb(…)`: its module is private to its capability, so that there is one path to it.
#[test]
fn an_operation_is_called_by_one_path() {
    let domain = root().join("domain/src");
    let mut found = BTreeSet::new();
    for capability in ["accounts", "creators", "catalog"] {
        for (path, text) in rust_files().into_iter().filter(|(path, _)| path.starts_with(domain.join(capability))) {
            let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(OsStr::to_str)) else { continue };
            let contents = std::fs::read_to_string(folder.join("mod.rs")).expect("a folder of a capability has a mod.rs");
            let refuses = text.lines().any(|line| line.starts_with("pub enum ") && line.contains("Refusal {"));
            if refuses && contents.contains(&format!("pub mod {stem};")) {
                found.insert(path);
            }
        }
    }
    assert!(found.is_empty(), "make these modules private, and re-export what they have: {found:#?}");
}

/// A workspace crate as its manifest describes it.
struct Manifest {
    package: String,
    dependencies: Vec<Dependency>,
    takes_workspace_lints: bool,
}

struct Dependency {
    name: String,
    for_tests: bool,
}

/// The manifests of the root package and of every member.
fn manifests() -> Vec<Manifest> {
    let workspace = toml_file(&root().join("Cargo.toml"));
    let members = workspace.get("workspace").and_then(|table| table.get("members"));
    let members = members.and_then(toml::Value::as_array).expect("the root manifest lists its members");
    members
        .iter()
        .map(|member| member.as_str().expect("a member is a path"))
        .map(|member| manifest(&toml_file(&root().join(member).join("Cargo.toml"))))
        .collect()
}

fn manifest(file: &toml::Table) -> Manifest {
    let package = file.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let mut dependencies = dependencies_of(file);
    // Dependencies of one platform stand under `[target.'cfg(…)']`.
    for platform in file.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values) {
        dependencies.extend(platform.as_table().into_iter().flat_map(dependencies_of));
    }
    let lints = file.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    Manifest {
        package: package.expect("a package has a name").to_owned(),
        dependencies,
        takes_workspace_lints: lints == Some(true),
    }
}

fn dependencies_of(table: &toml::Table) -> Vec<Dependency> {
    let mut found = Vec::new();
    for (kind, for_tests) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
        let Some(entries) = table.get(kind).and_then(toml::Value::as_table) else { continue };
        for (key, entry) in entries {
            // `key = { package = "name" }` renames.
            let name = entry.get("package").and_then(toml::Value::as_str).unwrap_or(key);
            found.push(Dependency { name: name.to_owned(), for_tests });
        }
    }
    found
}

fn toml_file(path: &Path) -> toml::Table {
    let text = std::fs::read_to_string(path).expect("a manifest can be read");
    text.parse().expect("a manifest is TOML")
}

/// Every Rust file of the project, with its text.
fn rust_files() -> Vec<(PathBuf, String)> {
    let rust = paths().into_iter().filter(|path| path.is_file() && path.extension() == Some(OsStr::new("rs")));
    rust.map(|path| {
        let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
        (path, text)
    })
    .collect()
}

/// Every folder and file of the project; not what is built, hidden, or kept by a running server.
fn paths() -> Vec<PathBuf> {
    let root = root();
    let not_ours = [root.join("target"), root.join("data")];
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project can be listed") {
            let path = entry.expect("a folder of the project can be listed").path();
            let hidden = path.file_name().and_then(OsStr::to_str).is_some_and(|name| name.starts_with('.'));
            if hidden || path.is_symlink() || not_ours.contains(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
