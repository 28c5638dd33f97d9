//! `smallrun config`: prints the effective configuration as TOML that can be saved as a configuration file.

use std::fmt::Write as _;

use crate::{config::Config, terminal};

/// The arguments of `smallrun config`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The address to listen on, as it would be given to `serve`.
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
