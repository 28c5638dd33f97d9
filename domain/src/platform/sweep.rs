//! The port to adapters that keep rows of their own in the database and remove those no longer needed.

use async_trait::async_trait;
use sea_orm::DbErr;

/// A sweep that housekeeping runs in each of its rounds, besides the sweeps of the capabilities. The wiring
/// of the process lists the implementations.
#[async_trait]
pub trait Sweep: Send + Sync {
    /// The constant name of what is swept, for the log.
    fn name(&self) -> &'static str;

    /// Removes the rows that are no longer needed and returns their number.
    async fn sweep(&self) -> Result<u64, DbErr>;
}
