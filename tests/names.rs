//! One name, one thing: two types of the product do not share a name without a reason.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Names that several types have, and why.
const SHARED: &[(&str, &str)] = &[
    ("Arguments", "the arguments of a command, in the file of the command"),
    ("Inner", "the state behind a handle that is cheap to clone, in the file of the handle"),
    ("Model", "the row of a table, in the module of its entity, as SeaORM's derive wants it"),
    ("Relation", "the relations of a table, as SeaORM's derive wants them"),
    ("Subcommand", "the subcommands of a command, in the file of the command"),
];

/// The crates whose code is the product, or is shared by all tests. Test programs and benchmarks are not
/// checked, because nothing imports them.
const PRODUCT: &[&str] = &["src", "api", "domain", "edge", "migrations", "payments", "testkit", "workers"];

#[test]
fn two_types_do_not_share_a_name_without_a_reason() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in product_files() {
        for name in types_of(&text) {
            places.entry(name).or_default().push(path.display().to_string());
        }
    }
    let shared: BTreeMap<_, _> =
        places.iter().filter(|(name, places)| places.len() > 1 && !is_excused(name, places)).collect();
    assert!(shared.is_empty(), "say what each is, or give a reason in tests/names.rs: {shared:#?}");
    let unused: Vec<_> =
        SHARED.iter().filter(|(name, _)| places.get(*name).is_none_or(|places| places.len() < 2)).collect();
    assert!(unused.is_empty(), "these names are no longer shared: {unused:#?}");
}

/// A GraphQL type has the name of the type of `domain` that it shows.
fn is_excused(name: &str, places: &[String]) -> bool {
    let shown = |folder: &str| places.iter().filter(|place| place.starts_with(folder)).count() == 1;
    SHARED.iter().any(|(shared, _)| *shared == name)
        || (places.len() == 2 && shown("api/src/graphql") && shown("domain/src"))
}

/// Returns the names of the types that a file declares, without those of its unit tests.
fn types_of(text: &str) -> Vec<String> {
    let product = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = product.lines().filter_map(|line| {
        let indented = line.starts_with(' ');
        let line = line.trim_start();
        let line = match line.strip_prefix("pub(") {
            Some(restricted) => restricted.split_once(") ")?.1,
            None => line.strip_prefix("pub ").unwrap_or(line),
        };
        let (keyword, rest) = line.split_once(' ')?;
        // An indented alias is an associated type.
        let declares =
            matches!(keyword, "struct" | "enum" | "trait" | "union") || (keyword == "type" && !indented);
        let end = rest.find(|at: char| !at.is_alphanumeric() && at != '_').unwrap_or(rest.len());
        // A macro's `struct $name` declares nothing by itself.
        (declares && end > 0).then(|| rest.get(..end).unwrap_or_default().to_owned())
    });
    lines.collect()
}

#[test]
fn types_are_found_where_they_are_declared() {
    let text = "pub struct A<T>(T);\npub(in crate::x) enum B {\n    pub(super) struct C;\n\
                \x20   type D = u8;\n}\ntype E = u8;\n#[cfg(test)]\nmod tests {\n    struct F;\n}\n";
    assert_eq!(types_of(text), ["A", "B", "C", "E"]);
}

fn product_files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        PRODUCT.iter().map(|folder| root.join(folder)).map(|folder| folder.join("src")).collect();
    folders.push(root.join("src"));
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("an entry of a folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.to_string_lossy().ends_with("_tests.rs")
            {
                let text = fs::read_to_string(&path).expect("a source file");
                files.push((path.strip_prefix(root).expect("a file of the project").to_owned(), text));
            }
        }
    }
    files
}
