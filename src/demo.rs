//! The demo marketplace: content of our own, loaded through the same operations that a person's requests run.
//!
//! [`content`] what there is; [`series`] when runs open and close; [`tables`] taxes and tariffs; [`mod@load`]
//! puts them in; [`people`] the accounts to sign in with, and buyers for load tests. Loading again loads
//! nothing twice, and adds the next runs of series for every phase that has become empty.

mod buyers;
mod content;
mod load;
mod people;
mod runs;
mod series;
mod tables;

use std::{fmt::Write as _, path::Path};

pub(crate) use load::{load, settle};
use people::{PASSWORD, PEOPLE};
pub(crate) use people::{Tokens, buyers, tokens};

/// How to sign in, and one thing to try, for the terminal.
pub(crate) fn introduction(url: &str, tokens_file: &Path) -> String {
    let mut text = format!("\nSign in with the password `{PASSWORD}` as\n\n");
    for (role, email) in PEOPLE {
        let _fits = writeln!(text, "  {role:<10}  {email}");
    }
    let _fits = write!(
        text,
        "\nor send `Authorization: Bearer TOKEN` with a token of {file}\n\nTry:\n\n  curl {url}/graphql -H 'content-type: application/json' \\\n    --data '{{\"query\":\"{QUERY}\"}}'\n",
        file = tokens_file.display(),
    );
    text
}

/// What is open now: the first thing a storefront shows.
const QUERY: &str =
    "{ drops(first: 3, filter: {phases: [OPEN]}) { nodes { title closesAt creator { name } } } }";
