//! Seals the audit log, under the relay's lease, and logs the head of each segment: whoever may write to the
//! database cannot write to the log, so a log that was sealed anew, or lost its tail, is found out (`smallrun
//! audit verify --log`).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::platform::{Db, access::Actor, audit, in_tx};
use sea_orm::DbErr;
use tokio::time::Instant;

const ACTOR: Actor = Actor::System("relay");

/// Rows of so long a time go into one segment. Transactions that write audit rows and nothing else wake
/// nobody, so these wait for the relay's next look: a second at most, all in all.
const EVERY: Duration = Duration::from_millis(200);
/// A database that could not do it is left alone for so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Seals when it is time to.
pub(crate) struct Sealing {
    db: Db,
    due: Instant,
    /// A look was put off until it is due.
    waits: bool,
    /// More rows wait than one segment takes.
    behind: bool,
}

impl Sealing {
    pub(crate) fn new(db: &Db) -> Self {
        Self { db: db.clone(), due: Instant::now(), waits: false, behind: false }
    }

    /// Whether there is more to do at once.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// When to look again, if not at the next commit.
    pub(crate) fn due(&self) -> Option<DateTime<Utc>> {
        let left = TimeDelta::from_std(self.due.saturating_duration_since(Instant::now())).ok()?;
        if self.waits { self.db.now().checked_add_signed(left) } else { None }
    }

    /// Seals a segment if it is time to. A failure is not the relay's: facts go on.
    pub(crate) async fn round(&mut self, fence: i64) {
        self.waits = Instant::now() < self.due;
        if self.waits && !self.behind {
            return;
        }
        let (behind, wait) = match self.seal(fence).await {
            Ok(behind) => (behind, EVERY),
            Err(error) => {
                tracing::error!(%error, "audit rows could not be sealed; it is tried again");
                (false, PAUSE)
            }
        };
        (self.behind, self.waits) = (behind, false);
        self.due = Instant::now().checked_add(wait).unwrap_or(self.due);
    }

    /// Seals what is left, at a stop: what is not sealed is not protected for as long as nothing runs.
    pub(crate) async fn finish(&mut self, fence: i64) {
        loop {
            self.due = Instant::now();
            self.round(fence).await;
            if !self.behind {
                return;
            }
        }
    }

    /// Seals one segment; answers whether more rows wait.
    async fn seal(&self, fence: i64) -> Result<bool, DbErr> {
        if !audit::any_unsealed(&self.db).await? {
            return Ok(false);
        }
        let sealed =
            in_tx(&self.db, ACTOR, async |tx| audit::seal(tx, fence, audit::SEGMENT_ROWS_MAX).await).await?;
        let Some(audit::Sealed { segment, rows, head, drained }) = sealed else { return Ok(false) };
        metrics::counter!("smallrun_audit_rows_sealed_total").increment(rows);
        // `audit verify --log` reads these lines.
        tracing::info!(target: "audit", segment, rows, %head, "an audit segment is sealed");
        Ok(!drained)
    }
}
