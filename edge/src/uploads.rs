//! Uploaded files: the scalar `Upload` and the file behind it.
//!
//! Files arrive by the GraphQL multipart request specification. They are stored on disk without a name, so
//! the system removes them when the request ends, even if the process is killed.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc, time::Duration};

use async_graphql::{Context, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::errors::{Code, internal};

/// The prefix of the value that stands for a file in the variables; the file's number follows.
const PLACEHOLDER: &str = "upload:";

/// Where uploaded files are stored while their request runs, and how large they may be.
#[derive(Debug, Clone)]
pub struct UploadRules {
    /// The folder for the files. It must exist.
    pub spool: PathBuf,
    /// The largest size of one file, in bytes.
    pub file_bytes_max: usize,
    /// The most files in one request.
    pub files_max: usize,
    /// The longest time a client may take to send a request with files.
    pub within: Duration,
    permits: Arc<Semaphore>,
}

impl UploadRules {
    /// Creates the rules of a process that receives the files of `at_once` requests at a time.
    pub fn new(
        spool: PathBuf,
        file_bytes_max: usize,
        files_max: usize,
        within: Duration,
        at_once: usize,
    ) -> Self {
        Self { spool, file_bytes_max, files_max, within, permits: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits for a permit to receive files. Returns `None` when none is free in time.
    pub(crate) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(self.within, Arc::clone(&self.permits).acquire_owned());
        turn.await.ok().and_then(Result::ok)
    }
}

/// The files of one request, removed together with it.
#[derive(Debug)]
pub(crate) struct Uploads {
    pub(crate) files: Vec<Arc<File>>,
    /// The permit is held until the files are no longer needed.
    pub(crate) _turn: OwnedSemaphorePermit,
}

/// A file, sent by the GraphQL multipart request specification: the variable is null in `operations`, and
/// `map` names the part of the request that holds the file. Such a request needs a token and the header
/// `Apollo-Require-Preflight` (or `GraphQL-Require-Preflight`) with any value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upload(usize);

/// A file, sent by the GraphQL multipart request specification: the variable is null in `operations`, and
/// `map` names the part of the request that holds the file. Such a request needs a token and the header
/// `Apollo-Require-Preflight` (or `GraphQL-Require-Preflight`) with any value.
#[Scalar]
impl ScalarType for Upload {
    fn parse(value: Value) -> InputValueResult<Self> {
        let number = match &value {
            Value::String(text) => text.strip_prefix(PLACEHOLDER).and_then(|number| number.parse().ok()),
            _ => None,
        };
        number.map(Self).ok_or_else(|| {
            InputValueError::custom("send the file in a multipart request and leave its variable null")
        })
    }
    fn to_value(&self) -> Value {
        Value::Null
    }
}

impl Upload {
    /// Returns the value that the variable of this file is set to once the file is received.
    pub(crate) fn placeholder(number: usize) -> String {
        format!("{PLACEHOLDER}{number}")
    }

    /// Reads the file and runs slow work on its bytes, on a thread for blocking work.
    pub async fn read<T, F>(self, ctx: &Context<'_>, work: F) -> async_graphql::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&[u8]) -> T + Send + 'static,
    {
        // A client can send text that looks like a placeholder in a request without files.
        let file = ctx.data_opt::<Uploads>().and_then(|uploads| uploads.files.get(self.0)).map(Arc::clone);
        let file = file.ok_or_else(|| {
            Code::BadUserInput.error("the request contains no such file: send it as multipart/form-data")
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
    fn only_a_placeholder_parses_as_a_file() {
        assert_eq!(Upload::parse(Value::String(Upload::placeholder(3))).ok(), Some(Upload(3)));
        for value in
            ["", "upload:", "upload:x", "upload:-1", "#__graphql_file__:0", "upload:99999999999999999999"]
        {
            assert!(Upload::parse(Value::String(value.to_owned())).is_err(), "{value}");
        }
        assert!(Upload::parse(Value::Null).is_err());
    }
}
