//! The errors of operations: [`Refused`] for violations that the user can correct, wrapped in [`OpError`].

use std::{fmt, time::Duration};

use sea_orm::DbErr;

use super::stored::{Inconsistency, StoreError};

/// One step of the path to the input field that a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// A field's name, in the camelCase of the API.
    Field(&'static str),
    /// An index in a list, from 0.
    At(usize),
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => f.write_str(name),
            Self::At(index) => index.fmt(f),
        }
    }
}

/// A violated rule. The API contract fixes `code`; its `Display` is the message for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<R> {
    /// The refusal code; each operation has its own enum.
    pub code: R,
    /// The path to the input at fault; empty when the refusal is about the whole request.
    pub path: Vec<PathStep>,
}

impl<R> Refused<R> {
    /// Refuses the whole request.
    pub fn whole(code: R) -> Self {
        Self { code, path: Vec::new() }
    }

    /// Refuses one field of the input.
    pub fn field(code: R, name: &'static str) -> Self {
        Self { code, path: vec![PathStep::Field(name)] }
    }

    /// Refuses `list[at]`.
    pub fn entry(code: R, list: &'static str, at: usize) -> Self {
        Self { code, path: vec![PathStep::Field(list), PathStep::At(at)] }
    }

    /// Refuses `list[at].field`.
    pub fn item(code: R, list: &'static str, at: usize, field: &'static str) -> Self {
        Self { code, path: vec![PathStep::Field(list), PathStep::At(at), PathStep::Field(field)] }
    }
}

/// The refusal enum of an operation that no rule refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NeverRefused {}

/// The ways an operation can fail. `R` is the operation's refusal enum.
#[derive(Debug, thiserror::Error)]
pub enum OpError<R: fmt::Debug> {
    /// At least one rule was violated; nothing was changed. The list is never empty.
    #[error("refused: {0:?}")]
    Refused(Vec<Refused<R>>),
    /// The operation could not start in time because of overload; nothing was changed. The client may retry
    /// after this duration.
    #[error("busy: retry in {} ms", .0.as_millis())]
    Busy(Duration),
    /// The database failed; either nothing was changed, or the outcome is unknown.
    #[error("the database failed")]
    Db(#[source] DbErr),
    /// Stored rows contradict each other or a rule. This is a defect, not a mistake of the user.
    #[error("inconsistent state: {0}")]
    Inconsistent(#[from] Inconsistency),
}

impl<R: fmt::Debug> OpError<R> {
    /// Refuses the whole request.
    pub fn refuse(code: R) -> Self {
        Self::Refused(vec![Refused::whole(code)])
    }

    /// Refuses one field of the input.
    pub fn refuse_field(code: R, name: &'static str) -> Self {
        Self::Refused(vec![Refused::field(code, name)])
    }

    /// Returns an error with these refusals, or `Ok` when there are none.
    pub fn refuse_if_any(complaints: Vec<Refused<R>>) -> Result<(), Self> {
        if complaints.is_empty() { Ok(()) } else { Err(Self::Refused(complaints)) }
    }

    /// Reports a stored state that no operation should have written.
    pub fn inconsistent(what: impl fmt::Display) -> Self {
        Self::Inconsistent(Inconsistency::new(what))
    }
}

impl<R: fmt::Debug> From<Refused<R>> for OpError<R> {
    fn from(refused: Refused<R>) -> Self {
        Self::Refused(vec![refused])
    }
}

impl<R: fmt::Debug> From<DbErr> for OpError<R> {
    /// Tells an inconsistent row apart from a failure of the database: both arrive as a `DbErr`.
    fn from(error: DbErr) -> Self {
        StoreError::from(error).into()
    }
}

impl<R: fmt::Debug> From<StoreError> for OpError<R> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Db(error) => Self::Db(error),
            StoreError::Inconsistent(inconsistency) => Self::Inconsistent(inconsistency),
        }
    }
}
