//! The demo marketplace: built-in content that is loaded through the same operations as people's requests.
//!
//! [`content`] reads the content; [`series`] computes when runs open and close; [`tables`] holds tax rates
//! and shipping tariffs; [`mod@load`] loads everything; [`people`] creates the accounts to sign in with, and
//! buyers for load tests. Loading again creates nothing twice. It adds the next runs of series for every
//! phase that has no run.

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

/// Returns the text for the terminal: how to sign in, and one query to try.
pub(crate) fn introduction(url: &str, tokens_file: &Path) -> String {
    let mut text = format!("\nSign in with the password `{PASSWORD}` as one of\n\n");
    for (role, email) in PEOPLE {
        let _fits = writeln!(text, "  {role:<10}  {email}");
    }
    let _fits = write!(
        text,
        "\nor send `Authorization: Bearer TOKEN` with a token from {file}\n\nTry:\n\n  \
         curl {url}/graphql -H 'content-type: application/json' \\\n    --data '{{\"query\":\"{QUERY}\"}}'\n",
        file = tokens_file.display(),
    );
    text
}

/// A query for the drops that are open now, which a storefront shows first.
const QUERY: &str =
    "{ drops(first: 3, filter: {phases: [OPEN]}) { nodes { title closesAt creator { name } } } }";
