//! The loop that keeps a projection up with the facts. It is the same for all of them; each projection of a
//! process has a loop of its own, so that one that is slow, fails or is rebuilt does not hold up the others.
//!
//! A [`reader`] finds the facts that follow the projection's position: as they are broadcast, or in the
//! table. Where they are no longer kept, the projection is told to rebuild.

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

/// A database that could not be read is asked again after this time.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A projection that failed is tried again after this time, and after twice the last time when it fails again
/// …
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// … but never later than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Keeps a projection up with the facts until it is told to stop. A batch that is being applied then is
/// finished first; a rebuild is broken off.
pub async fn run(db: Db, bus: Arc<dyn Bus>, projection: Arc<dyn Projection>, stop: CancellationToken) {
    lag::describe();
    let (reached, seen) = watch::channel(None);
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
        () = lag::measure(&db, projection.name(), seen) => {}
    }
}

struct ProjectionLoop<'a> {
    db: &'a Db,
    projection: &'a dyn Projection,
    reader: FactReader,
    stop: &'a CancellationToken,
    /// The projection's position, once it is known: what the lag is measured by.
    reached: watch::Sender<Option<i64>>,
    /// How often the projection has failed since it last went forward.
    failures: u32,
}

/// Why a projection does not go on for now.
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
                    tracing::warn!(
                        projection,
                        error = chain(&error),
                        "facts cannot be read; it is tried again"
                    );
                    READ_AGAIN_AFTER
                }
                Err(FollowError::Projection(error)) => {
                    self.failures = self.failures.saturating_add(1);
                    counter!("smallrun_projection_failures_total", "projection" => projection).increment(1);
                    let (failures, error) = (self.failures, chain(&error));
                    tracing::warn!(projection, failures, error, "a projection failed; it is tried again");
                    backoff(self.failures)
                }
            };
            // What was heard of the failed batch is not heard again.
            self.reader.look_next();
            if until(self.stop, tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    /// Begins where the projection is and goes on until it is told to stop. The projection is asked for its
    /// position after each setback, because it may have gone forward before it failed.
    async fn follow(&mut self) -> Result<Stopped, FollowError> {
        let known = self.projection.position().await?;
        self.reached.send_replace(Some(known.unwrap_or(0)));
        let mut position = known;
        while !self.stop.is_cancelled() {
            let went_to = match position {
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
                            "facts that follow are no longer kept; it is rebuilt"
                        );
                        self.rebuild().await?
                    }
                    Some(NextFacts::Ahead) => {
                        let projection = self.projection.name();
                        tracing::warn!(
                            projection,
                            position = reached,
                            "it knows facts that the database does not; it is rebuilt"
                        );
                        self.rebuild().await?
                    }
                },
            };
            let Some(went_to) = went_to else { break };
            position = Some(went_to);
            self.reached.send_replace(position);
            self.failures = 0;
        }
        Ok(Stopped)
    }

    /// Answers the position from which to go on; `None` if the rebuild was broken off by a stop.
    async fn rebuild(&self) -> Result<Option<i64>, FollowError> {
        counter!("smallrun_projection_rebuilds_total", "projection" => self.projection.name()).increment(1);
        // Read first: a fact that is stamped while the projection reads is applied again afterwards.
        let position = outbox::position_last(self.db).await?;
        let rebuilt = until(self.stop, self.projection.rebuild(position)).await.transpose()?;
        Ok(rebuilt.map(|()| position))
    }
}

/// The loop was told to stop, and has.
struct Stopped;

/// How long to wait after so many failures in a row.
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
