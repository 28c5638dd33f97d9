//! Reads the settings from the file, the environment and the command line.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{Config, KEYS, Partial, Source, values::RawValue, variable_of};
use crate::exit::{Exit, Failure, Outcome};

/// Variables that begin like settings but are not: the name of the file, and the fault points.
const NO_SETTING: &[&str] = &["SMALLRUN_CONFIG", "SMALLRUN_FAULT"];
/// The prefix of variables that only tests read.
const TESTS_PREFIX: &str = "SMALLRUN_TEST_";

/// The settings given on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flags {
    /// `--config`: the file to read.
    pub(crate) config: Option<PathBuf>,
    /// `--listen`.
    pub(crate) listen: Option<String>,
    /// `--data`.
    pub(crate) data: Option<String>,
}

/// Reads the configuration of this process.
pub(crate) fn load(flags: Flags) -> Outcome<Config> {
    let variables: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let named = flags.config.clone().map(|path| (path, "--config"));
    let named = named.or_else(|| {
        let variable = std::env::var_os("SMALLRUN_CONFIG").filter(|path| !path.is_empty());
        variable.map(|path| (PathBuf::from(path), "SMALLRUN_CONFIG"))
    });
    let file = named.map(|(path, by)| read_file(&path, by)).transpose()?;
    merge(file, variables, flags)
}

fn read_file(path: &Path, named_by: &str) -> Outcome<(String, String)> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        let what = format!("the configuration file `{}` cannot be read: {cause}", path.display());
        Failure::new(Exit::BadSetting, what, format_args!("Check that {named_by} names a readable file"))
    })?;
    Ok((path.display().to_string(), text))
}

/// Merges the settings from all sources. `file` is the name and the text of the file.
pub(super) fn merge(
    file: Option<(String, String)>,
    variables: Vec<(OsString, OsString)>,
    flags: Flags,
) -> Outcome<Config> {
    let mut partial = Partial::default();
    if let Some((name, text)) = &file {
        apply_file(&mut partial, name, text)?;
    }
    apply_variables(&mut partial, variables)?;
    for (option, key, value) in [("--listen", "listen", flags.listen), ("--data", "data", flags.data)] {
        if let Some(value) = value {
            let set = partial.set(key, &RawValue::Text(&value), Source::Option(option));
            set.map_err(|rest| {
                Failure::new(Exit::Usage, format_args!("{option} {rest}"), "See `--help` of the command")
            })?;
        }
    }
    Ok(partial.complete())
}

fn apply_file(partial: &mut Partial, name: &str, text: &str) -> Outcome {
    let bad = |at: usize, what: String, todo: String| {
        let line = text.get(..at).unwrap_or(text).matches('\n').count().saturating_add(1);
        Failure::new(Exit::BadSetting, format_args!("{name}, line {line}: {what}"), todo)
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let what = error.message().trim_end_matches('.').replace('\n', ", ");
        bad(at, what, "Correct the TOML syntax of that line".to_owned())
    })?;
    for (key, value) in table.get_ref() {
        let known = KEYS.contains(&key.get_ref().as_ref());
        if !known {
            let todo = format!(
                "{}Run `smallrun config` to list all settings",
                did_you_mean(key.get_ref(), |key| format!("`{key}`"))
            );
            return Err(bad(key.span().start, format!("unknown setting `{}`", key.get_ref()), todo));
        }
        let set = partial.set(key.get_ref(), &RawValue::Toml(value.get_ref()), Source::File);
        set.map_err(|rest| {
            bad(key.span().start, format!("`{}` {rest}", key.get_ref()), "Correct that line".to_owned())
        })?;
    }
    Ok(())
}

fn apply_variables(partial: &mut Partial, variables: Vec<(OsString, OsString)>) -> Outcome {
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with("SMALLRUN_")) else { continue };
        if NO_SETTING.contains(&name) || name.starts_with(TESTS_PREFIX) {
            continue;
        }
        let Some(key) = KEYS.iter().find(|key| variable_of(key) == name) else {
            let written = name.trim_start_matches("SMALLRUN_").to_ascii_lowercase();
            let hint = did_you_mean(&written, variable_of);
            let todo = format!("{hint}Run `smallrun config` to list all settings");
            return Err(Failure::new(Exit::BadSetting, format_args!("unknown variable {name}"), todo));
        };
        let text = value.to_str().ok_or_else(|| {
            Failure::new(
                Exit::BadSetting,
                format_args!("{name} is not UTF-8"),
                "Set it to UTF-8 text, or remove it",
            )
        })?;
        let set = partial.set(key, &RawValue::Text(text), Source::Variable(name.to_owned()));
        set.map_err(|rest| {
            Failure::new(Exit::BadSetting, format_args!("{name} {rest}"), "Correct its value, or remove it")
        })?;
    }
    Ok(())
}

/// Returns "Did you mean …? " if a similar key exists, or an empty text.
fn did_you_mean(written: &str, name: impl Fn(&str) -> String) -> String {
    let nearest = KEYS.iter().map(|key| (distance(written, key), key)).min();
    match nearest {
        // If more than a third of the letters differ, the words are not similar.
        Some((distance, key)) if distance.saturating_mul(3) <= key.len().max(3) => {
            format!("Did you mean {}? ", name(key))
        }
        _ => String::new(),
    }
}

/// Returns the Levenshtein distance: how many letters must be inserted, deleted or changed.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut next = vec![at.saturating_add(1)];
        for ((above_left, above), other) in row.iter().zip(row.iter().skip(1)).zip(&to) {
            let left = next.last().copied().unwrap_or(0);
            let changed = if letter == *other { *above_left } else { above_left.saturating_add(1) };
            next.push(changed.min(above.saturating_add(1)).min(left.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
