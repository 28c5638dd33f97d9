//! The demo marketplace: content of our own, loaded through the same operations that a person's requests run.
//!
//! [`content`] what there is; [`series`] when runs open and close; [`tables`] taxes and tariffs; [`load`] puts them
//! in; [`people`] the accounts to sign in with, and buyers for load tests. Loading again loads nothing twice, and
//! adds the next runs of series for every phase that has become empty.

mod content;
mod load;
mod people;
mod runs;
mod series;
mod tables;

pub(crate) use load::load;
pub(crate) use people::{PASSWORD, PEOPLE, Tokens, buyers, tokens};
