//! The limit on open files, which include connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system allows, and returns it. The usual default is 1024, for old programs
/// that cannot handle more. A thousand clients would reach it.
pub(crate) fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, "could not raise the limit on open files");
            current.unwrap_or(u64::MAX)
        }
    }
}
