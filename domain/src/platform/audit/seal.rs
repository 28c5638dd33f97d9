//! Sealing: numbers the unsealed rows and makes a segment of them.

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, Statement};

use super::{
    AuditEntry,
    segment::{self, Head, Seal, Segment},
};
use crate::platform::{db::Tx, outbox};

/// The maximum number of rows in a segment. Sealing them takes some milliseconds, so on SQLite other writers
/// do not wait long.
pub const SEGMENT_ROWS_MAX: u64 = 500;

/// A segment that was just sealed, as the server logs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The number of the segment, from 1, without gaps.
    pub segment: i64,
    /// The number of its rows.
    pub rows: u64,
    /// The hash of the segment.
    pub head: Head,
    /// Whether no row was left unsealed.
    pub drained: bool,
}

/// Seals up to `limit` rows, in the order of their ids, as the next segment. `fence` is the fencing token of
/// the relay's lease, which prevents two processes from sealing at once. Returns `None` when all rows are
/// sealed, or when the token is no longer the newest.
pub async fn seal(tx: &Tx, fence: i64, limit: u64) -> Result<Option<Sealed>, DbErr> {
    if !outbox::leads(tx, fence).await? {
        return Ok(None);
    }
    let end = segment::end(tx.conn()).await?;
    let rows = number_rows(tx, end.position, limit).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let segment = Segment {
        number: end.number.saturating_add(1),
        position_first: end.position.saturating_add(1),
        seals: rows.iter().map(|(position, row)| Seal::of(row, *position)).collect(),
        drained: u64::try_from(rows.len()).is_ok_and(|count| count < limit),
        sealed_at: tx.recorded_at(),
        previous_head: end.head,
    };
    segment.insert(tx).await?;
    let rows = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok(Some(Sealed { segment: segment.number, rows, head: segment.head(), drained: segment.drained }))
}

/// Returns the statement that numbers the oldest unsealed rows and returns them. It is the same on SQLite
/// (since 3.35) and PostgreSQL.
///
/// The SQL is written by hand because one statement with RETURNING takes half the time of two, one of which
/// would have a `CASE` with 500 branches. The lease is the only lock needed, because nothing else updates
/// rows of the audit log. The limit is a literal: with a parameter, PostgreSQL may plan to read the whole
/// table.
fn number_rows_sql(limit: u64) -> String {
    format!(
        "UPDATE audit SET position = $1 + unsealed.place
         FROM (
             SELECT id, ROW_NUMBER() OVER (ORDER BY id) AS place
             FROM (SELECT id FROM audit WHERE position IS NULL ORDER BY id LIMIT {limit}) AS oldest
         ) AS unsealed
         WHERE audit.id = unsealed.id
         RETURNING audit.id AS id, audit.actor AS actor, audit.action AS action, audit.subject AS subject,
             audit.fields AS fields, audit.trace_id AS trace_id, audit.reason AS reason,
             audit.created_at AS created_at, audit.position AS position"
    )
}

/// Gives up to `limit` rows the positions after `last`, and returns them in this order.
async fn number_rows(tx: &Tx, last: i64, limit: u64) -> Result<Vec<(i64, AuditEntry)>, DbErr> {
    tx.walk_indexes().await?;
    let backend = tx.conn().get_database_backend();
    let statement = Statement::from_sql_and_values(backend, number_rows_sql(limit), [last.into()]);
    let answered = tx.conn().query_all_raw(statement).await?;
    let mut rows = Vec::with_capacity(answered.len());
    for row in answered {
        rows.push((row.try_get("", "position")?, AuditEntry::from_query_result(&row, "")?));
    }
    // RETURNING has no defined order.
    rows.sort_unstable_by_key(|(position, _)| *position);
    Ok(rows)
}
