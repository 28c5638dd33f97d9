//! The audit log: under concurrency every row is sealed once, and later tampering is reported.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests may fail loudly")]

mod sealing;
mod tampering;

use domain::platform::{
    Db,
    access::{Actor, SystemScope},
    audit::{self, KnownHeads, Sealed, Tampering, Verified, VerifyError},
    ids::AuditId,
    in_tx, outbox,
};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use uuid::Uuid;

const ACTOR: Actor = Actor::System("test");

/// Takes or renews the lease.
async fn lease(db: &Db, holder: u128) -> Option<i64> {
    in_tx(db, ACTOR, async |tx| outbox::lease(tx, Uuid::from_u128(holder)).await).await.unwrap()
}

/// Writes rows in one transaction.
async fn write(db: &Db, rows: std::ops::RangeInclusive<u32>) {
    let written = in_tx(db, ACTOR, async |tx| {
        for row in rows {
            audit::record_text(tx, "test.write", &format!("subject {row}"), &["one", "two"]).await?;
        }
        Ok::<_, DbErr>(())
    });
    written.await.unwrap();
}

async fn seal(db: &Db, fence: i64, limit: u64) -> Option<Sealed> {
    in_tx(db, ACTOR, async |tx| audit::seal(tx, fence, limit).await).await.unwrap()
}

/// Verifies the log; the error is the first difference.
async fn verify(db: &Db, known: &[(i64, audit::Head)]) -> Result<Verified, Tampering> {
    let mut heads = KnownHeads::default();
    for (segment, head) in known {
        heads.add(*segment, *head);
    }
    match audit::verify(db, &SystemScope::new("test").as_admin(), &heads, |_, _| {}).await {
        Ok(verified) => Ok(verified),
        Err(VerifyError::Tampered(tampering)) => Err(tampering),
        Err(VerifyError::Db(error)) => panic!("{error}"),
    }
}

/// Runs SQL that anybody with write access to the database could run.
async fn run(db: &Db, sql: &str) {
    if let Err(error) = db.schema_connection().execute_unprepared(sql).await {
        panic!("{sql}: {error}");
    }
}

/// Returns the ids of all sealed rows, in the order of their positions.
async fn ids(db: &Db) -> Vec<AuditId> {
    let sql = "SELECT id FROM audit WHERE position IS NOT NULL ORDER BY position";
    let rows = db.reader().query_all_raw(Statement::from_string(db.backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "id").unwrap()).collect()
}
