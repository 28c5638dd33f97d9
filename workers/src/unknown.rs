//! Facts, tasks, letters and timers of kinds that this version does not know, written by newer versions. They
//! are left to newer versions, and each kind is logged once.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

/// The kinds that this process has logged.
static TOLD: Mutex<BTreeSet<(&'static str, String)>> = Mutex::new(BTreeSet::new());

/// Warns of an unknown kind, once per process.
pub(crate) fn warn_once(what: &'static str, kind: &str) {
    // A panic cannot leave the set inconsistent, so poisoning is ignored.
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.insert((what, kind.to_owned())) {
        tracing::warn!(what, kind, "unknown kind; left to a newer version");
    }
}
