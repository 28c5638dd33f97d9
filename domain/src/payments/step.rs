//! A step at the gateway: a call, and what its answer changes here.
//!
//! No call is made while a transaction is open. Each carries a key that is derived from stored rows, so that
//! the gateway recognises a repetition after a crash.

use sea_orm::DbErr;

use super::{apply::ApplyRefusal, gateway::GatewayError};
use crate::platform::OpError;

/// Why a step at the gateway did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The gateway may answer later: try again with the same key.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbErr),
    /// What the gateway says does not fit what we know: a person must look.
    #[error("the gateway and we disagree: {0}")]
    Disagree(String),
}

impl From<OpError<ApplyRefusal>> for StepError {
    fn from(error: OpError<ApplyRefusal>) -> Self {
        match error {
            OpError::Db(error) => Self::Db(error),
            busy @ OpError::Busy(_) => Self::Db(DbErr::Custom(busy.to_string())),
            OpError::Refused(why) => Self::Disagree(format!("{why:?}")),
            OpError::Inconsistent(what) => Self::Disagree(what.to_string()),
        }
    }
}
