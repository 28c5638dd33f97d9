//! The loop that applies facts to a projection. Each projection of a process has a loop of its own, so a
//! slow, failing or rebuilding projection does not delay the others.
//!
//! A [`reader`] finds the facts that follow the projection's position, in broadcasts or in the outbox. If the
//! outbox no longer holds them, the projection is rebuilt from the database.

mod lag;
mod reader;

use std::{sync::Arc, time::Duration};

use domain::platform::{
    Db, outbox,
    projections::{Projection, ProjectionError},
};
use metrics::counter;
use sea_orm::DbErr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::reader::{FactReader, NextFacts};
use crate::{bus::Bus, loops::until, run::chain};

/// The delay before facts are read again after a failure to read them.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The delay after the first failure of a projection. It doubles with each further failure, up to
/// [`RETRY_AFTER_MAX`].
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// The maximum delay after a failure of a projection.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Runs a projection until `stop` is cancelled. A batch that is being applied is finished first; a rebuild is
/// aborted.
pub async fn run(db: Db, bus: Arc<dyn Bus>, projection: Arc<dyn Projection>, stop: CancellationToken) {
    let (reached, reached_receiver) = watch::channel(None);
    let reader = FactReader::new(&db, bus.as_ref());
    let projecting = ProjectionLoop {
        db: &db,
        projection: projection.as_ref(),
        reader,
        stop: &stop,
        reached,
        failures: 0,
    };
    tokio::select! {
        () = projecting.run() => {}
        () = lag::measure(&db, projection.name(), reached_receiver) => {}
    }
}

struct ProjectionLoop<'a> {
    db: &'a Db,
    projection: &'a dyn Projection,
    reader: FactReader,
    stop: &'a CancellationToken,
    /// Passes the projection's position to [`lag::measure`]. It holds `None` until the position is known.
    reached: watch::Sender<Option<i64>>,
    /// The number of failures since the projection last advanced.
    failures: u32,
}

/// The reason why a projection paused.
enum FollowError {
    /// The facts could not be read.
    Read(DbErr),
    /// The projection failed.
    Projection(ProjectionError),
}

impl From<DbErr> for FollowError {
    fn from(error: DbErr) -> Self {
        Self::Read(error)
    }
}

impl From<ProjectionError> for FollowError {
    fn from(error: ProjectionError) -> Self {
        Self::Projection(error)
    }
}

impl ProjectionLoop<'_> {
    async fn run(mut self) {
        let projection = self.projection.name();
        loop {
            let wait = match self.follow().await {
                Ok(Stopped) => return,
                Err(FollowError::Read(error)) => {
                    tracing::warn!(projection, error = chain(&error), "reading facts failed; retrying");
                    READ_AGAIN_AFTER
                }
                Err(FollowError::Projection(error)) => {
                    self.failures = self.failures.saturating_add(1);
                    counter!("smallrun_projection_failures_total", "projection" => projection).increment(1);
                    let (failures, error) = (self.failures, chain(&error));
                    tracing::warn!(projection, failures, error, "projection failed; retrying");
                    backoff(self.failures)
                }
            };
            // The facts of a failed batch are not broadcast again, so they must be read from the table.
            self.reader.read_table_next();
            if until(self.stop, tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Applies the facts that follow the projection's position, until the loop is stopped. It starts by
    /// reading the position, because the projection may have advanced before its last failure.
    async fn follow(&mut self) -> Result<Stopped, FollowError> {
        let known = self.projection.position().await?;
        self.reached.send_replace(Some(known.unwrap_or(0)));
        let mut position = known;
        while !self.stop.is_cancelled() {
            let new_position = match position {
                None => self.rebuild().await?,
                Some(reached) => match until(self.stop, self.reader.next(reached)).await.transpose()? {
                    None => None,
                    Some(NextFacts::Batch(batch)) => {
                        self.projection.apply(&batch).await?;
                        Some(batch.position)
                    }
                    Some(NextFacts::Swept) => {
                        let projection = self.projection.name();
                        tracing::warn!(
                            projection,
                            position = reached,
                            "the next facts are no longer kept; rebuilding"
                        );
                        self.rebuild().await?
                    }
                    Some(NextFacts::Ahead) => {
                        let projection = self.projection.name();
                        tracing::warn!(
                            projection,
                            position = reached,
                            "the projection is ahead of the database; rebuilding"
                        );
                        self.rebuild().await?
                    }
                },
            };
            let Some(new_position) = new_position else { break };
            position = Some(new_position);
            self.reached.send_replace(position);
            self.failures = 0;
        }
        Ok(Stopped)
    }

    /// Rebuilds the projection. Returns its new position, or `None` if the rebuild was aborted by a stop.
    async fn rebuild(&self) -> Result<Option<i64>, FollowError> {
        counter!("smallrun_projection_rebuilds_total", "projection" => self.projection.name()).increment(1);
        // The position is read first, so that a fact that gets its position during the rebuild is applied
        // afterwards, even if the rebuild has already seen its effect.
        let position = outbox::position_last(self.db).await?;
        let rebuilt = until(self.stop, self.projection.rebuild(position)).await.transpose()?;
        Ok(rebuilt.map(|()| position))
    }
}

/// The loop was stopped.
struct Stopped;

/// Returns the delay after a number of consecutive failures.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    RETRY_AFTER.saturating_mul(2_u32.saturating_pow(doublings)).min(RETRY_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let waits = [1, 2, 3, 7, 8, 9, u32::MAX].map(|failures| backoff(failures).as_millis());
        assert_eq!(waits, [250, 500, 1_000, 16_000, 30_000, 30_000, 30_000]);
    }
}
