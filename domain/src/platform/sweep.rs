//! The port to whatever keeps rows of its own in our database, and knows which of them are no longer needed.

use async_trait::async_trait;
use sea_orm::DbErr;

/// What housekeeping sweeps in each of its rounds, besides the rows of the capabilities. The wiring lists it.
#[async_trait]
pub trait Sweep: Send + Sync {
    /// What is swept, for the log: a constant word.
    fn name(&self) -> &'static str;

    /// Removes what is no longer needed. Answers how many rows went.
    async fn sweep(&self) -> Result<u64, DbErr>;
}
