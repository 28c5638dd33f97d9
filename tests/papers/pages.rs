//! Reads the pages: their blocks of code, tables, headings and prose.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// A Markdown file of the repository.
#[derive(Debug)]
pub(crate) struct Page {
    /// Relative to the repository, such as `docs/tutorial.md`.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// A block of code.
#[derive(Debug)]
pub(crate) struct Block {
    /// The page and the line where it begins, for messages.
    pub(crate) place: String,
    /// The info string: `sh`, `sh no-test`, `graphql`.
    pub(crate) info: String,
    pub(crate) text: String,
    /// The role that the page last told its reader to act as, such as `buyer`.
    pub(crate) role: Option<String>,
    /// Whether the line above is the end of an HTML comment.
    pub(crate) has_reason: bool,
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join(name));
        Self {
            name: name.to_owned(),
            text: text.unwrap_or_else(|error| panic!("{name} cannot be read: {error}")),
        }
    }

    /// All pages, ordered by name. The legal texts of the demo are its content, not pages.
    pub(crate) fn all() -> Vec<Self> {
        let mut names: Vec<String> = files()
            .iter()
            .filter(|path| path.extension() == Some(OsStr::new("md")))
            .map(|path| relative(path))
            .filter(|name| !name.starts_with("src/demo/content/legal/"))
            .collect();
        names.sort();
        names.iter().map(|name| Self::read(name)).collect()
    }

    /// The lines outside of blocks of code, with their numbers.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut inside = false;
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(self.text.lines()) {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                lines.push((number, line));
            }
        }
        lines
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let (mut role, mut inside, mut above) = (None, false, "");
        for (number, line) in (1..).zip(self.text.lines()) {
            match line.trim_start().strip_prefix("```") {
                Some(_) if inside => inside = false,
                Some(info) => {
                    inside = true;
                    blocks.push(Block {
                        place: format!("{}:{number}", self.name),
                        info: info.to_owned(),
                        text: String::new(),
                        role: role.clone(),
                        has_reason: above.ends_with("-->"),
                    });
                }
                None if inside => {
                    let block = blocks.last_mut().unwrap();
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                None => {
                    if let Some((_, rest)) = line.split_once("**Act as: ") {
                        role = rest.split_once("**").map(|(role, _)| role.to_lowercase());
                    }
                }
            }
            above = line;
        }
        blocks
    }

    /// The rows of all tables whose first column has that title, without the title row; cells are trimmed.
    pub(crate) fn rows(&self, title: &str) -> Vec<Vec<String>> {
        let (mut rows, mut reading) = (Vec::new(), false);
        for (_, line) in self.prose() {
            let Some(inner) = line.strip_prefix("| ").and_then(|line| line.strip_suffix('|')) else {
                reading = false;
                continue;
            };
            let cells: Vec<String> = inner.split('|').map(|cell| cell.trim().to_owned()).collect();
            if cells[0] == title {
                reading = true;
            } else if reading && !cells[0].starts_with("---") {
                rows.push(cells);
            }
        }
        assert!(!rows.is_empty(), "{} has no table whose first column is `{title}`", self.name);
        rows
    }

    /// The anchors of the headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self.prose().into_iter().filter_map(|(_, line)| {
            let title = line.trim_start_matches('#');
            (title != line && title.starts_with(' ')).then(|| title.trim().to_lowercase())
        });
        let kept = |sign: &char| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_');
        headings.map(|title| title.chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
    }
}

/// The name in backticks of a cell: `listen` of `` `listen` ``.
pub(crate) fn bare(cell: &str) -> &str {
    cell.trim_matches('`')
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The path of a file within the repository.
pub(crate) fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// Every file of the repository that people write; not what is built, hidden, installed, or kept by a running
/// server.
pub(crate) fn files() -> Vec<PathBuf> {
    let not_ours = [root().join("target"), root().join("data")];
    let (mut found, mut folders) = (Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with('.') || name == "node_modules" || not_ours.contains(&path) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}
