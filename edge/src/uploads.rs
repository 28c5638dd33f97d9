//! Files of a request: the scalar `Upload`, and what a resolver finds behind it.
//!
//! Files come by the GraphQL multipart request specification. They lie on disk without a name, so that they
//! are gone as soon as the request is, even if the process ends in the middle.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc, time::Duration};

use async_graphql::{Context, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::{Code, internal};

/// What stands in the variables where a file belongs, before its number.
const PLACEHOLDER: &str = "upload:";

/// Where files of requests are kept for as long as these run, and how large they may be.
#[derive(Debug, Clone)]
pub struct UploadRules {
    /// The folder. It must exist.
    pub spool: PathBuf,
    /// Bytes of one file, at most.
    pub file_bytes_max: usize,
    /// Files of one request, at most.
    pub files_max: usize,
    /// How long it may take to send a request with files.
    pub within: Duration,
    permits: Arc<Semaphore>,
}

impl UploadRules {
    /// The rules of a process, which receives the files of that many requests at once.
    pub fn new(
        spool: PathBuf,
        file_bytes_max: usize,
        files_max: usize,
        within: Duration,
        at_once: usize,
    ) -> Self {
        Self { spool, file_bytes_max, files_max, within, permits: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits for a turn; `None` if that takes too long.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(self.within, Arc::clone(&self.permits).acquire_owned());
        turn.await.ok().and_then(Result::ok)
    }
}

/// The files of one request. They go with it.
#[derive(Debug)]
pub(crate) struct Uploads {
    pub(crate) files: Vec<Arc<File>>,
    /// Held until what was received is no longer needed.
    pub(crate) _turn: OwnedSemaphorePermit,
}

/// A file, sent by the GraphQL multipart request specification: the variable is null in `operations`, and
/// `map` says which part of the request belongs there. Such a request needs the header
/// `Apollo-Require-Preflight` (or `GraphQL-Require-Preflight`) with any value, and a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upload(usize);

/// A file, sent by the GraphQL multipart request specification: the variable is null in `operations`, and
/// `map` says which part of the request belongs there. Such a request needs the header
/// `Apollo-Require-Preflight` (or `GraphQL-Require-Preflight`) with any value, and a token.
#[Scalar]
impl ScalarType for Upload {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::String(text) => text.strip_prefix(PLACEHOLDER).and_then(|number| number.parse().ok()),
            _ => None,
        };
        number.map(Self).ok_or_else(|| {
            InputValueError::custom("a file comes in a multipart request, as a variable that is null")
        })
    }
    fn to_value(&self) -> Value {
        Value::Null
    }
}

impl Upload {
    /// What the variable of the file with that number holds, once it is received.
    pub(crate) fn placeholder(number: usize) -> String {
        format!("{PLACEHOLDER}{number}")
    }

    /// Does something slow with the bytes of the file, where it is in nobody's way.
    pub async fn read<T, F>(self, ctx: &Context<'_>, work: F) -> async_graphql::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&[u8]) -> T + Send + 'static,
    {
        // What looks like a placeholder may come in a request without files, too.
        let file = ctx.data_opt::<Uploads>().and_then(|uploads| uploads.files.get(self.0)).map(Arc::clone);
        let file = file.ok_or_else(|| {
            Code::BadUserInput.error("there is no such file in this request: send it as multipart/form-data")
        })?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            (&*file).read_to_end(&mut bytes).map(|_| work(&bytes))
        });
        read.await.map_err(|defect| internal(&defect))?.map_err(|failure| internal(&failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_placeholder_is_no_file() {
        assert_eq!(Upload::parse(Value::String(Upload::placeholder(3))).ok(), Some(Upload(3)));
        for value in
            ["", "upload:", "upload:x", "upload:-1", "#__graphql_file__:0", "upload:99999999999999999999"]
        {
            assert!(Upload::parse(Value::String(value.to_owned())).is_err(), "{value}");
        }
        assert!(Upload::parse(Value::Null).is_err());
    }
}
