//! The house rules that the compiler does not check: the dependencies between crates, and the layout of files
//! and folders.
//!
//! `ARCHITECTURE.md` explains the rules. A change that adds a crate, or a dependency between two crates, also
//! adds it to [`RULES`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The dependencies that a workspace crate may have.
struct Rule {
    /// The name of the package. Its folder has the same name, except for the root package `smallrun`.
    package: &'static str,
    /// The workspace crates it may use.
    ours: &'static [&'static str],
    /// The external crates that it must not use, by the start of their names.
    never: &'static [&'static str],
}

/// External crates for HTTP and GraphQL servers.
const EDGE: &[&str] = &["actix", "async-graphql", "axum", "hyper"];
/// External crates that use the network.
const OUTSIDE: &[&str] = &[
    "actix",
    "async-graphql",
    "axum",
    "hyper",
    "lapin",
    "reqwest",
    "lettre",
    "async-stripe",
    "object_store",
];
/// External crates that do any input or output. Pure engines must not use them.
const ANY_IO: &[&str] = &[
    "actix",
    "async-graphql",
    "axum",
    "hyper",
    "lapin",
    "reqwest",
    "sea-orm",
    "sqlx",
    "tokio",
    "object_store",
];

const RULES: &[Rule] = &[
    Rule {
        package: "smallrun",
        ours: &[
            "api",
            "domain",
            "edge",
            "imaging",
            "migrations",
            "payments",
            "routing",
            "search",
            "storefront",
            "workers",
        ],
        never: &[],
    },
    // `api` and `workers` only know the port of payment gateways; the wiring in `smallrun` chooses them.
    Rule { package: "api", ours: &["domain", "edge", "imaging", "routing", "search"], never: &["lapin"] },
    Rule { package: "workers", ours: &["domain", "imaging", "routing", "search"], never: EDGE },
    // Serves any schema: `api` implements its ports for this one.
    Rule { package: "edge", ours: &[], never: &["sea-orm", "sqlx", "lapin"] },
    // Uses the public GraphQL schema over HTTP, like any other storefront.
    Rule { package: "storefront", ours: &[], never: &["sea-orm", "sqlx", "lapin"] },
    Rule { package: "payments", ours: &["domain"], never: &["actix", "async-graphql", "lapin"] },
    Rule { package: "search", ours: &["domain"], never: &["actix", "async-graphql", "lapin", "reqwest"] },
    Rule { package: "imaging", ours: &["domain"], never: ANY_IO },
    Rule { package: "routing", ours: &["domain"], never: ANY_IO },
    Rule { package: "domain", ours: &[], never: OUTSIDE },
    Rule { package: "migrations", ours: &[], never: OUTSIDE },
    // Provides the databases for tests, and is never shipped.
    Rule { package: "testkit", ours: &["domain", "migrations"], never: EDGE },
    // Measures a server from outside, like a client.
    Rule { package: "bench", ours: &[], never: &[] },
    // Measures the combining of reservations, which is too fast to be measured from outside.
    Rule { package: "bench-hot-drop", ours: &["bench", "domain", "testkit"], never: &[] },
    Rule { package: "bench-live", ours: &[], never: &[] },
    // Measures the messages between processes, which cannot be seen from outside.
    Rule { package: "bench-bus", ours: &["domain", "testkit", "workers"], never: EDGE },
    // Measures the microseconds before a request runs, which are too short to be measured from outside.
    Rule { package: "bench-edge", ours: &["api", "edge"], never: &[] },
];

/// The crate that the tests of all crates may use in addition.
const TESTS_MAY_USE: &str = "testkit";
/// The crates that the tests of a single crate may use in addition.
const TESTS_OF_ONE_MAY_USE: &[(&str, &str)] = &[
    // The journeys need a payment gateway.
    ("workers", "payments"),
];

/// The files outside its crate and the wiring that may name the sandbox, and why. All others should use a
/// port.
const SANDBOX_IS_NAMED_IN: &[(&str, &str)] = &[
    ("domain/src/platform/tasks.rs", "the queue of the sandbox's tasks is stored under this name"),
    ("api/src/graphql/platform/tasks/types.rs", "the queue is a value of the schema"),
];

/// Names of folders and modules that are too vague.
const SAYS_NOTHING: &[&str] = &["utils", "util", "helpers", "common", "models", "services", "managers"];

/// The maximum number of lines of a file. A longer file should be split.
const LINES_MAX: usize = 900;

#[test]
fn dependencies_point_one_way() {
    let manifests = manifests();
    let ours: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.package.as_str()).collect();
    let mut complaints = Vec::new();
    for manifest in &manifests {
        let package = manifest.package.as_str();
        let Some(rule) = RULES.iter().find(|rule| rule.package == package) else {
            complaints.push(format!("`{package}` has no rule in tests/house.rs: add its dependencies"));
            continue;
        };
        for Dependency { name, for_tests } in &manifest.dependencies {
            let is_ours = ours.contains(name.as_str());
            let tests_may = name == TESTS_MAY_USE || TESTS_OF_ONE_MAY_USE.contains(&(package, name.as_str()));
            let allowed = rule.ours.contains(&name.as_str()) || (*for_tests && tests_may);
            if is_ours && !allowed {
                complaints.push(format!("`{package}` must not depend on `{name}`"));
            }
            if !for_tests && rule.never.iter().any(|never| name.starts_with(never)) {
                complaints.push(format!("`{package}` must not use the external crate `{name}`"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The map of `domain` is in ARCHITECTURE.md, where people look for it.
#[test]
fn the_capabilities_of_domain_depend_on_each_other_as_the_map_says() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md can be read");
    let (_, map) = map.split_once("```arrows\n").expect("ARCHITECTURE.md has the map of `domain`");
    let (map, _) = map.split_once("```").expect("the map ends");
    let mut drawn = BTreeSet::new();
    let mut capabilities = BTreeSet::new();
    for line in map.lines() {
        let (capability, below) = line.split_once("<-").expect("a line of the map has an arrow");
        capabilities.insert(capability.trim());
        drawn.extend(below.split_whitespace().map(|below| (capability.trim().to_owned(), below.to_owned())));
    }
    let domain = root().join("domain/src");
    let mut found: BTreeMap<(String, String), String> = BTreeMap::new();
    for (path, text) in rust_files() {
        let Ok(inside) = path.strip_prefix(&domain) else { continue };
        let Some(capability) =
            inside.iter().next().and_then(OsStr::to_str).filter(|name| capabilities.contains(name))
        else {
            continue;
        };
        for below in used_modules(&text)
            .into_iter()
            .filter(|below| below != capability && capabilities.contains(below.as_str()))
        {
            found.entry((capability.to_owned(), below)).or_insert_with(|| inside.display().to_string());
        }
    }
    let folders: BTreeSet<String> = (std::fs::read_dir(&domain).expect("`domain/src` can be listed"))
        .map(|entry| entry.expect("`domain/src` can be listed").path())
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    let missing: Vec<_> = folders.iter().filter(|folder| !capabilities.contains(folder.as_str())).collect();
    assert!(missing.is_empty(), "capabilities missing in the map in ARCHITECTURE.md: {missing:?}");
    let new: Vec<_> = found.iter().filter(|(arrow, _)| !drawn.contains(*arrow)).collect();
    assert!(new.is_empty(), "arrows missing in the map in ARCHITECTURE.md: {new:?}");
    let unused: Vec<_> = drawn.iter().filter(|arrow| !found.contains_key(*arrow)).collect();
    assert!(unused.is_empty(), "unused arrows in the map in ARCHITECTURE.md: {unused:?}");
}

/// Returns the first-level modules of its own crate that a file uses, in `use` lines and in other paths that
/// begin with `crate::`.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
    let word = |text: &str| {
        text.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect::<String>()
    };
    let mut used = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            used.insert(word(after));
            continue;
        };
        let mut depth = 0_usize;
        let mut begins = true;
        for (at, sign) in group.char_indices() {
            match sign {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && depth == 0 && !sign.is_whitespace() => {
                    used.insert(word(group.get(at..).unwrap_or_default()));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    used
}

/// The guide for adding a capability lists the changed files, which exist, and the new files, which do not
/// exist yet.
#[test]
fn a_new_capability_touches_few_files() {
    const FILES_MAX: usize = 20;
    const EXISTING_MAX: usize = 12;
    let guide = std::fs::read_to_string(root().join("docs/develop/adding-a-capability.md"))
        .expect("the guide can be read");
    let (_, lists) = guide.split_once("## What was touched").expect("the guide ends with its lists");
    let (new, changed) = lists.split_once("Changed").expect("the guide lists new files and changed ones");
    let files = |list: &str| -> Vec<PathBuf> {
        let paths = list.lines().filter_map(|line| line.strip_prefix("- `")?.strip_suffix('`'));
        paths.map(|path| root().join(path)).collect()
    };
    let (new, changed) = (files(new), files(changed));
    assert!(
        changed.len() <= EXISTING_MAX && new.len() + changed.len() <= FILES_MAX,
        "{} and {}",
        new.len(),
        changed.len()
    );
    let missing: Vec<_> = changed.iter().filter(|path| !path.exists()).collect();
    assert!(missing.is_empty(), "these files no longer exist: {missing:#?}");
    let there: Vec<_> = new.iter().filter(|path| path.exists()).collect();
    assert!(there.is_empty() && !new.is_empty(), "these files exist already: {there:#?}");
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let without: Vec<_> =
        manifests().into_iter().filter(|m| !m.takes_workspace_lints).map(|m| m.package).collect();
    assert!(without.is_empty(), "`[lints] workspace = true` is missing in: {without:?}");
}

#[test]
fn every_rust_file_opens_with_a_description() {
    let silent: Vec<_> =
        rust_files().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "these files do not open with a `//!` comment: {silent:#?}");
}

#[test]
fn no_rust_file_is_too_long() {
    let long: Vec<_> = rust_files()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "split these files, which have more than {LINES_MAX} lines: {long:#?}");
}

/// rustfmt breaks code, but neither comments nor long strings.
#[test]
fn lines_end_at_110_columns() {
    const COLUMNS_MAX: usize = 110;
    let mut long = Vec::new();
    for (path, text) in rust_files() {
        let lines = text.lines().enumerate().filter(|(_, line)| line.chars().count() > COLUMNS_MAX);
        long.extend(lines.map(|(at, _)| format!("{}:{}", path.display(), at.saturating_add(1))));
    }
    assert!(long.is_empty(), "break these lines: {long:#?}");
}

#[test]
fn folders_and_modules_are_named_by_capability() {
    let vague: Vec<_> = paths()
        .into_iter()
        .filter(|path| path.is_dir() || path.extension() == Some(OsStr::new("rs")))
        .filter(|path| {
            path.file_stem().and_then(OsStr::to_str).is_some_and(|stem| SAYS_NOTHING.contains(&stem))
        })
        .collect();
    assert!(vague.is_empty(), "these names are too vague: {vague:#?}");
}

/// A read from the pool is not behind the second wall, so only its `WHERE` separates the tenants. `read_in`
/// reads behind the wall.
#[test]
fn a_function_in_a_tenants_scope_does_not_read_from_the_pool() {
    let domain = root().join("domain/src");
    let mut found = BTreeSet::new();
    for (path, text) in rust_files().into_iter().filter(|(path, _)| path.starts_with(&domain)) {
        for function in
            text.split("\n}\n").filter_map(|item| item.split_once("fn ").map(|(_, function)| function))
        {
            let (signature, body) = function.split_once('{').unwrap_or((function, ""));
            let of_tenant = ["&CreatorScope", "&TokensScope"].iter().any(|scope| signature.contains(scope));
            if of_tenant && body.contains(".reader()") {
                found.insert(format!(
                    "{}: {}",
                    path.display(),
                    signature.split('(').next().unwrap_or_default()
                ));
            }
        }
    }
    assert!(found.is_empty(), "use `read_in`: {found:#?}");
}

/// A file has the operation that it is named after, and no other. Operations of the platform are grouped by
/// subject, because several capabilities use them.
#[test]
fn one_operation_stands_in_one_file() {
    let several: Vec<_> = operations()
        .into_iter()
        .filter(|(path, names)| !path.starts_with(root().join("domain/src/platform")) && names.len() > 1)
        .collect();
    assert!(several.is_empty(), "move each operation to its own file: {several:#?}");
}

/// An operation is called as `capability::verb(…)`. Its module is private to its capability, so that there is
/// only one path to it. [`BY_SUBJECT`] lists the exceptions.
#[test]
fn an_operation_is_called_by_one_path() {
    let mut found = BTreeSet::new();
    for (path, names) in operations() {
        let (Some(folder), Some(stem)) = (path.parent(), path.file_stem().and_then(OsStr::to_str)) else {
            continue;
        };
        if path.starts_with(root().join("domain/src/platform")) || BY_SUBJECT.contains(&stem) {
            continue;
        }
        let contents =
            std::fs::read_to_string(folder.join("mod.rs")).expect("a folder of a capability has a mod.rs");
        if contents.contains(&format!("pub mod {stem};")) {
            found.insert((path, names));
        }
    }
    assert!(found.is_empty(), "make these modules private, and re-export their items: {found:#?}");
}

/// Modules whose operation is called by its subject: `legal::publish`.
const BY_SUBJECT: &[&str] = &["legal"];

/// The operations of `domain` by file: public functions that may refuse.
fn operations() -> Vec<(PathBuf, Vec<String>)> {
    let domain = root().join("domain/src");
    let of = |text: &str| {
        let functions = text.split("\npub async fn ").skip(1).filter_map(|function| function.split_once('{'));
        let refusing = functions.filter(|(signature, _)| {
            signature.contains("&Db")
                && ["OpError<", "StepError"].iter().any(|error| signature.contains(error))
        });
        refusing.filter_map(|(signature, _)| Some(signature.split(['(', '<']).next()?.to_owned())).collect()
    };
    let files = rust_files().into_iter().filter(|(path, _)| path.starts_with(&domain));
    files.map(|(path, text)| (path, of(&text))).filter(|(_, names): &(_, Vec<_>)| !names.is_empty()).collect()
}

/// The files of the product that create a `SystemScope`, and why the work has no viewer. Tasks do not create
/// one: each attempt gets a scope with the reason of its kind.
const MAKE_SYSTEM_SCOPES: &[(&str, &str)] = &[
    ("api/src/http/webhooks.rs", "a gateway authenticates by its signature and is not a viewer"),
    ("domain/src/platform/tasks/kinds.rs", "an attempt at a task"),
    ("src/commands/admin.rs", "the operator runs the command"),
    ("src/commands/audit.rs", "the operator runs the command"),
    ("src/commands/demo.rs", "the operator runs the command"),
    ("src/commands/serve.rs", "a start recovers the tasks of the previous server"),
    ("src/demo/load.rs", "the demo loads its content"),
    ("src/demo/people.rs", "the demo creates its accounts"),
    ("workers/src/reconcile.rs", "the reconcilers"),
];

/// The files of the product that pass the second wall, and why: they work on rows of other tenants, or on the
/// platform's own tables.
const PASS_THE_WALL: &[(&str, &str)] = &[
    ("domain/src/accounts/revoke_token.rs", "buyers' sessions that a storefront's token opened end with it"),
    (
        "domain/src/reservations/cancel_drop.rs",
        "a cancelled drop releases whole checkouts, including lines of other creators",
    ),
    ("domain/src/platform/db.rs", "it is defined here"),
    ("domain/src/platform/idempotency.rs", "keys belong to the principal that uses them"),
    ("domain/src/platform/tasks.rs", "tasks belong to the system"),
    ("domain/src/platform/timers.rs", "timers belong to the system"),
];

#[test]
fn system_scopes_are_created_only_in_listed_files() {
    assert_listed(&["SystemScope::new("], MAKE_SYSTEM_SCOPES);
}

#[test]
fn the_second_wall_is_passed_only_in_listed_files() {
    assert_listed(&["beyond_wall"], PASS_THE_WALL);
}

/// Asserts that exactly the listed files of the product contain a text. Unit tests at the end of a file do
/// not count.
fn assert_listed(texts: &[&str], list: &[(&str, &str)]) {
    let root = root();
    let in_product = |path: &Path| path.components().any(|part| part.as_os_str() == "src");
    let not_shipped = ["bench", "testkit"].map(|folder| root.join(folder));
    let files = rust_files()
        .into_iter()
        .filter(|(path, _)| !not_shipped.iter().any(|folder| path.starts_with(folder)));
    let found: BTreeSet<_> = files
        .filter_map(|(path, source)| Some((path.strip_prefix(&root).ok()?.to_owned(), source)))
        .filter(|(path, source)| {
            let product = source.split("#[cfg(test)]").next().unwrap_or_default();
            in_product(path) && texts.iter().any(|text| product.contains(text))
        })
        .map(|(path, _)| path.display().to_string())
        .collect();
    let listed: BTreeSet<_> = list.iter().map(|(path, _)| (*path).to_owned()).collect();
    let (new, gone): (Vec<_>, Vec<_>) =
        (found.difference(&listed).collect(), listed.difference(&found).collect());
    assert!(new.is_empty(), "{texts:?} in {new:#?}: give the reason in tests/house.rs, or do without");
    assert!(gone.is_empty(), "{texts:?} no longer in {gone:#?}: take them off the list");
}

/// Files that make a `DbErr` of their own, and why.
const MAKE_DATABASE_ERRORS: &[(&str, &str)] = &[
    ("domain/src/platform/clock.rs", "a statement that always answers one row answered none"),
    ("domain/src/platform/db.rs", "a statement that always answers one row answered none"),
    ("domain/src/platform/demo_clock.rs", "a statement that always answers one row answered none"),
    ("domain/src/platform/faults/firing.rs", "a fault point fails as a database would"),
    ("domain/src/platform/stored.rs", "carries an inconsistency through signatures of SeaORM"),
    ("src/database/sole.rs", "a statement that always answers one row answered none"),
];

#[test]
fn database_errors_are_made_by_the_database() {
    let kinds = ["Custom", "Json", "RecordNotFound", "TryIntoErr", "Type"];
    let made = kinds.map(|kind| [format!("DbErr::{kind}("), format!("Self::{kind} {{")]);
    let made: Vec<_> = made.iter().flatten().map(String::as_str).collect();
    assert_listed(&made, MAKE_DATABASE_ERRORS);
}

/// Other code knows a gateway only by its name, account and mode. The wiring passes what a gateway needs.
#[test]
fn only_the_wiring_names_the_sandbox() {
    let crates = ["api", "domain", "workers"].map(|name| root().join(name).join("src"));
    let product = |text: &str| {
        // Comments and tests may name it.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_lowercase();
        code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("sandbox"))
    };
    let naming: BTreeSet<_> = rust_files()
        .into_iter()
        .filter(|(path, text)| crates.iter().any(|folder| path.starts_with(folder)) && product(text))
        .map(|(path, _)| path.strip_prefix(root()).expect("a file of the project").to_owned())
        .collect();
    let known: BTreeSet<_> = SANDBOX_IS_NAMED_IN.iter().map(|(path, _)| PathBuf::from(path)).collect();
    let (new, gone): (Vec<_>, Vec<_>) =
        (naming.difference(&known).collect(), known.difference(&naming).collect());
    assert!(new.is_empty(), "these name the sandbox; let the wiring pass what they need: {new:#?}");
    assert!(gone.is_empty(), "these no longer name the sandbox; remove them from the list: {gone:#?}");
}

/// The manifest of a workspace crate.
struct Manifest {
    package: String,
    dependencies: Vec<Dependency>,
    takes_workspace_lints: bool,
}

struct Dependency {
    name: String,
    for_tests: bool,
}

/// Reads the manifests of the root package and of every member.
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
    // Dependencies for one platform are under `[target.'cfg(…)']`.
    for platform in
        file.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values)
    {
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
    for (kind, for_tests) in
        [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
    {
        let Some(entries) = table.get(kind).and_then(toml::Value::as_table) else { continue };
        for (key, entry) in entries {
            // `key = { package = "name" }` renames a dependency.
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

/// Returns every Rust file of the project, with its text.
fn rust_files() -> Vec<(PathBuf, String)> {
    let rust =
        paths().into_iter().filter(|path| path.is_file() && path.extension() == Some(OsStr::new("rs")));
    rust.map(|path| {
        let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
        (path, text)
    })
    .collect()
}

/// Returns every folder and file of the project, without build output, hidden files and the data folder.
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
