//! Sizes, widths, and everything that points somewhere: links, anchors, and names of files.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use crate::papers::pages::{Page, files, relative, root};

const README_BYTES_MAX: usize = 8_000;
const ARCHITECTURE_BYTES_MAX: usize = 12_000;
const DECISION_LINES_MAX: usize = 60;
const COLUMNS_MAX: usize = 110;

#[test]
fn pages_are_as_short_as_they_promise() {
    for (name, max) in [("README.md", README_BYTES_MAX), ("ARCHITECTURE.md", ARCHITECTURE_BYTES_MAX)] {
        let bytes = Page::read(name).text.len();
        assert!(bytes <= max, "{name} has {bytes} bytes, at most {max}: move what few readers need to docs/");
    }
    for page in Page::all().iter().filter(|page| page.name.starts_with("docs/decisions/")) {
        let lines = page.text.lines().count();
        assert!(lines <= DECISION_LINES_MAX, "{} has {lines} lines, at most {DECISION_LINES_MAX}", page.name);
    }
}

/// Tables and links cannot be broken into lines; code is as wide as it is.
#[test]
fn lines_of_pages_end_at_110_columns() {
    let mut wide = Vec::new();
    for page in Page::all() {
        for (number, line) in page.prose() {
            let unbreakable = line.starts_with('|') || line.contains("](") || line.contains("://");
            if line.chars().count() > COLUMNS_MAX && !unbreakable {
                wide.push(format!("{}:{number}", page.name));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut broken = Vec::new();
    for page in Page::all() {
        let folder = root().join(&page.name).parent().unwrap().to_owned();
        for (number, line) in page.prose() {
            for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let path = if path.is_empty() { root().join(&page.name) } else { tidy(&folder.join(path)) };
                let leads_there = path.exists()
                    && (anchor.is_empty()
                        || Page::read(&relative(&path)).anchors().iter().any(|heading| heading == anchor));
                if !leads_there {
                    broken.push(format!("{}:{number}: {target}", page.name));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A path without `..`, which may lead through folders that do not exist.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(tidy.pop()),
            Component::CurDir => {}
            other => tidy.push(other),
        }
    }
    tidy
}

/// `docs/develop/testing.md`, or the first part of a name: `docs/decisions/0007`.
#[test]
fn pages_that_the_code_mentions_exist() {
    let mut gone = Vec::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let name = relative(&path);
        // Their links are checked above; what these files themselves say of `docs/` are examples.
        if name.ends_with(".lock") || name.starts_with("tests/papers/") {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            for (at, _) in line.match_indices("docs/") {
                let before = line[..at].chars().next_back();
                if before.is_some_and(|sign| sign.is_alphanumeric() || "/._-".contains(sign)) {
                    continue;
                }
                let mention: String = line[at..]
                    .chars()
                    .take_while(|sign| sign.is_ascii_alphanumeric() || "/._-".contains(*sign))
                    .collect();
                if !exists(mention.trim_end_matches(['.', '-'])) {
                    gone.push(format!("{name}:{number}: {mention}"));
                }
            }
        }
    }
    assert!(gone.is_empty(), "{gone:#?}");
}

/// Whether there is such a file or folder, or one whose name begins so.
fn exists(mention: &str) -> bool {
    let path = root().join(mention);
    let begins = |path: &Path| {
        let begin = path.file_name().unwrap().to_str().unwrap();
        fs::read_dir(path.parent().unwrap()).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(begin))
        })
    };
    path.exists() || begins(&path)
}

/// A file in backticks: `` `domain/src/registry.rs` ``. The guide for a new capability also names files that
/// it makes.
#[test]
fn files_that_pages_name_exist() {
    let mut gone = Vec::new();
    for page in Page::all() {
        for (number, line) in page.prose() {
            for span in line.split('`').skip(1).step_by(2) {
                let is_path = span.chars().all(|sign| sign.is_ascii_alphanumeric() || "/._-".contains(sign));
                let Some((first, _)) = span.split_once('/').filter(|_| is_path) else { continue };
                let made = page.name == "docs/develop/adding-a-capability.md" && span.contains("wishes");
                let ours = !matches!(first, "" | "." | "target") && root().join(first).is_dir();
                if ours && !made && !root().join(span).exists() {
                    gone.push(format!("{}:{number}: {span}", page.name));
                }
            }
        }
    }
    assert!(gone.is_empty(), "{gone:#?}");
}
