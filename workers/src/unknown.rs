//! What newer versions have written and this one does not know: facts, tasks, letters, timers. It is left to
//! them, and the log tells of it once.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// What the log of this process was told of.
static TOLD: Mutex<BTreeSet<(&'static str, String)>> = Mutex::new(BTreeSet::new());

/// Warns of a kind that is not known here, the first time that it is met in this process.
pub(crate) fn warn_once(what: &'static str, kind: &str) {
    // A set is whole whatever panicked while it was held.
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.insert((what, kind.to_owned())) {
        tracing::warn!(what, kind, "a kind that this version does not know is left to newer ones");
    }
}
