//! `smallrun config`: the effective configuration as TOML, ready to be made a file of.

use std::fmt::Write as _;

use crate::{config::Config, terminal};

/// What can be said after `config`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address as `serve` would be told it.
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
}

pub(super) fn run(config: &Config) {
    let mut text = String::from("# The effective configuration; secrets are shown as ***.\n");
    for (key, value, source, about) in config.describe() {
        let line = match value {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} ="),
        };
        let _fits = write!(text, "\n# {about}\n{line}  # {source}\n");
    }
    terminal::answer(&text);
}
