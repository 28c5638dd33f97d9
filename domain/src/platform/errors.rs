//! How an operation says no: [`Refused`] for what the user can mend, [`OpError`] around it.

use std::{fmt, time::Duration};

use sea_orm::DbErr;

use super::stored::{Inconsistency, StoreError};

/// One step of the way to the input field that a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathStep {
    /// A field's name, in the camelCase of the API.
    Field(&'static str),
    /// A place in a list, from 0.
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

/// A rule said no. `code` is contract; the message, its `Display`, is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused<R> {
    /// The refusal, an enum per operation.
    pub code: R,
    /// Which input it is about; empty when it is about the whole request.
    pub path: Vec<PathStep>,
}

impl<R> Refused<R> {
    /// A refusal of the whole request.
    pub fn whole(code: R) -> Self {
        Self { code, path: Vec::new() }
    }

    /// A refusal of one field of the input.
    pub fn field(code: R, name: &'static str) -> Self {
        Self { code, path: vec![PathStep::Field(name)] }
    }

    /// A refusal of `list[at].field`.
    pub fn item(code: R, list: &'static str, at: usize, field: &'static str) -> Self {
        Self { code, path: vec![PathStep::Field(list), PathStep::At(at), PathStep::Field(field)] }
    }
}

/// The refusals of an operation that no rule speaks against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NeverRefused {}

/// What an operation can end in besides success. `R` is the operation's refusal enum.
#[derive(Debug, thiserror::Error)]
pub enum OpError<R: fmt::Debug> {
    /// Rules said no; nothing was changed. Never empty.
    #[error("refused: {0:?}")]
    Refused(Vec<Refused<R>>),
    /// There is more to do than can be done in time; nothing was changed.
    #[error("busy: come again in {} ms", .0.as_millis())]
    Busy(Duration),
    /// The database failed; nothing was changed, or it is not known.
    #[error("the database failed")]
    Db(#[source] DbErr),
    /// Stored rows contradict each other or a rule: a defect, not the user's doing.
    #[error("inconsistent state: {0}")]
    Inconsistent(#[from] Inconsistency),
}

impl<R: fmt::Debug> OpError<R> {
    /// Says no to the whole request.
    pub fn refuse(code: R) -> Self {
        Self::Refused(vec![Refused::whole(code)])
    }

    /// Says no because of one field.
    pub fn refuse_field(code: R, name: &'static str) -> Self {
        Self::Refused(vec![Refused::field(code, name)])
    }

    /// Says no when there is any complaint.
    pub fn refuse_if_any(complaints: Vec<Refused<R>>) -> Result<(), Self> {
        if complaints.is_empty() { Ok(()) } else { Err(Self::Refused(complaints)) }
    }

    /// Reports stored state that no operation should have made.
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
    /// A failed read that says that a row is inconsistent is no failure of the database.
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
