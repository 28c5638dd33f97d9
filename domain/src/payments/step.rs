//! The errors of a step of a payment: one call to the gateway, and the changes that follow from its answer.
//!
//! A step makes its call while no transaction is open. The call carries an idempotency key that is derived
//! from stored rows, so that the gateway recognises a retry after a crash.

use std::time::Duration;

use sea_orm::DbErr;

use super::{apply::ApplyRefusal, gateway::GatewayError};
use crate::platform::OpError;

/// Why a step at the gateway failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The call to the gateway failed. If the error is temporary, the step may be retried with the same key.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// Too many operations use the same rows. The step may be retried after this time.
    #[error("busy; try again in {} s", .0.as_secs())]
    Busy(Duration),
    /// The database failed.
    #[error("the database failed")]
    Db(#[from] DbErr),
    /// The gateway's answer contradicts the stored payment. An administrator must look into it.
    #[error("the gateway's answer contradicts our records: {0}")]
    Contradiction(String),
}

impl From<OpError<ApplyRefusal>> for StepError {
    fn from(error: OpError<ApplyRefusal>) -> Self {
        match error {
            OpError::Db(error) => Self::Db(error),
            OpError::Busy(wait) => Self::Busy(wait),
            OpError::Refused(why) => Self::Contradiction(format!("{why:?}")),
            OpError::Inconsistent(what) => Self::Contradiction(what.to_string()),
        }
    }
}
