//! Seals the audit log under the relay's lease, and logs the head of each segment. An attacker who can write
//! to the database cannot write to the log, so an audit log that was resealed or truncated is detected
//! (`smallrun audit verify --log`).

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::platform::{Db, access::Actor, audit, in_tx};
use sea_orm::DbErr;
use tokio::time::Instant;

const ACTOR: Actor = Actor::System("relay");

/// How often segments are sealed. A transaction that writes only audit rows does not wake the relay, so its
/// rows wait for the relay's next poll: at most one second in all.
const EVERY: Duration = Duration::from_millis(200);
/// The pause after a database error.
const PAUSE: Duration = Duration::from_secs(1);

/// Seals audit rows when they are due.
pub(crate) struct Sealing {
    db: Db,
    due: Instant,
    /// Whether a round was postponed until `due`.
    waits: bool,
    /// Whether more rows wait than fit into one segment.
    behind: bool,
}

impl Sealing {
    pub(crate) fn new(db: &Db) -> Self {
        Self { db: db.clone(), due: Instant::now(), waits: false, behind: false }
    }

    /// Returns whether more rows can be sealed immediately.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Returns the time of the next round, or `None` if no round was postponed.
    pub(crate) fn due(&self) -> Option<DateTime<Utc>> {
        let left = TimeDelta::from_std(self.due.saturating_duration_since(Instant::now())).ok()?;
        if self.waits { self.db.now().checked_add_signed(left) } else { None }
    }

    /// Seals a segment if it is due. A failure does not stop the relay.
    pub(crate) async fn round(&mut self, fence: i64) {
        self.waits = Instant::now() < self.due;
        if self.waits && !self.behind {
            return;
        }
        let (behind, wait) = match self.seal(fence).await {
            Ok(behind) => (behind, EVERY),
            Err(error) => {
                tracing::error!(%error, "sealing audit rows failed; retrying");
                (false, PAUSE)
            }
        };
        (self.behind, self.waits) = (behind, false);
        self.due = Instant::now().checked_add(wait).unwrap_or(self.due);
    }

    /// Seals all remaining rows at a stop, because unsealed rows would stay unprotected until the next start.
    pub(crate) async fn finish(&mut self, fence: i64) {
        loop {
            self.due = Instant::now();
            self.round(fence).await;
            if !self.behind {
                return;
            }
        }
    }

    /// Seals one segment. Returns whether more rows wait.
    async fn seal(&self, fence: i64) -> Result<bool, DbErr> {
        if !audit::any_unsealed(&self.db).await? {
            return Ok(false);
        }
        let sealed =
            in_tx(&self.db, ACTOR, async |tx| audit::seal(tx, fence, audit::SEGMENT_ROWS_MAX).await).await?;
        let Some(audit::Sealed { segment, rows, head, drained }) = sealed else { return Ok(false) };
        metrics::counter!("smallrun_audit_rows_sealed_total").increment(rows);
        // `audit verify --log` parses this line.
        tracing::info!(target: "audit", segment, rows, %head, "an audit segment is sealed");
        Ok(!drained)
    }
}
