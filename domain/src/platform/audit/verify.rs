//! Verifying: reads the sealed log from its first row and names the first thing that is not as it was sealed.
//!
//! Runs beside a server that seals: a segment and the positions of its rows are written in one transaction,
//! and no later one touches them.

#![expect(clippy::disallowed_methods, reason = "reads the audit table as it is, whoever wrote it")]

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    Condition, ConnectionTrait, DbErr, FromQueryResult, QueryOrder, QueryResult, QuerySelect, QueryTrait,
    entity::prelude::*, sea_query::IntoCondition,
};

use super::{
    AuditEntry,
    entity::{self, Column},
    segment::{self, Head, Record, Seal, Segment},
    unsealed_count,
};
use crate::platform::{Db, access::AdminScope, ids::AuditId};

/// Segments that are read at once: some hundred kilobytes.
const SEGMENTS_AT_ONCE: u64 = 20;

/// A row is older than the seal that should have held it by this much at most: longer than any transaction,
/// and than the clocks of two machines differ.
const LATE_MINUTES_MAX: i64 = 10;

/// A sealed log in which everything is as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many segments were verified.
    pub segments: i64,
    /// How many rows they have.
    pub rows: i64,
    /// The last segment's head; nothing when nothing is sealed.
    pub head: Option<Head>,
    /// How many of the heads that were known from elsewhere are those of the segments here.
    pub heads_known: u64,
    /// Rows that are not sealed yet, which nothing can be said of.
    pub unsealed: u64,
}

/// The first thing that is wrong. Positions and numbers of segments count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tampering {
    /// A row is wrong.
    Row {
        /// The row's id; nothing when somebody put something there that is none.
        id: Option<AuditId>,
        /// The position at which something is wrong.
        position: i64,
        /// The segment of this position; nothing when no segment has it.
        segment: Option<i64>,
        /// What is wrong.
        how: RowTampering,
    },
    /// A segment's own record is wrong.
    Segment {
        /// The segment's number.
        segment: i64,
        /// What is wrong.
        how: SegmentTampering,
    },
}

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowTampering {
    /// It is not what was sealed.
    Changed,
    /// It was sealed and is gone.
    Missing,
    /// It was never sealed.
    Inserted,
    /// It was sealed long after its own date: somebody made it up later.
    Backdated {
        /// When it says it was written.
        created_at: DateTime<Utc>,
        /// When all that was written up to then had been sealed.
        drained_at: DateTime<Utc>,
    },
    /// It was sealed, at another position.
    OutOfOrder {
        /// That position.
        sealed_at: i64,
    },
    /// It was sealed at this position, and stands at another, or at none.
    Moved {
        /// Where it stands now.
        to: Option<i64>,
    },
}

/// What is wrong with a segment's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentTampering {
    /// It contradicts itself.
    Changed,
    /// It is gone, and later ones are there.
    Missing,
    /// It does not stand on the segment before: one of the two was sealed anew.
    Unchained,
    /// Another head is known from elsewhere.
    OtherHead {
        /// The head that is known.
        known: Head,
        /// The head here.
        here: Head,
    },
    /// A head of it is known from elsewhere, and the log ends before.
    CutOff {
        /// The head that is known.
        known: Head,
        /// The number of the last segment here.
        last: i64,
    },
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Row { id, position, segment, how } => {
                match id {
                    Some(id) => write!(f, "the audit row {id} at position {position}")?,
                    None => write!(f, "the audit row at position {position}")?,
                }
                if let Some(segment) = segment {
                    write!(f, " in segment {segment}")?;
                }
                write!(f, " {how}")
            }
            Self::Segment { segment, how } => write!(f, "segment {segment} of the audit log {how}"),
        }
    }
}

impl fmt::Display for RowTampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("was changed after it was sealed"),
            Self::Missing => f.write_str("is missing: it was sealed and then deleted"),
            Self::Inserted => f.write_str("was inserted: it was never sealed"),
            Self::Backdated { created_at, drained_at } => write!(
                f,
                "was inserted later than it says: it has the date {created_at}, but all that was written until {drained_at} \
                 had been sealed before it"
            ),
            Self::OutOfOrder { sealed_at } => {
                write!(f, "is out of order: it was sealed at position {sealed_at}")
            }
            Self::Moved { to: Some(to) } => {
                write!(f, "is out of order: it was moved from there to position {to}")
            }
            Self::Moved { to: None } => {
                f.write_str("is out of order: its position was taken away after it was sealed")
            }
        }
    }
}

impl fmt::Display for SegmentTampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("was changed: its record does not have its head any more"),
            Self::Missing => f.write_str("is missing: its record was deleted"),
            Self::Unchained => {
                f.write_str("does not stand on the segment before it: one of the two was sealed anew")
            }
            Self::OtherHead { known, here } => {
                write!(f, "was logged with the head {known}, but the one here is {here}")
            }
            Self::CutOff { known, last } => {
                write!(
                    f,
                    "was logged with the head {known}, but the last one here is {last}: the log's tail was cut off"
                )
            }
        }
    }
}

/// Why a log does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It was tampered with.
    #[error("{0}")]
    Tampered(Tampering),
    /// The database failed; nothing is known of the log.
    #[error("the database failed")]
    Db(#[from] DbErr),
}

/// Heads that are known from elsewhere, such as from the logs of the server, by the number of their segment.
#[derive(Debug, Clone, Default)]
pub struct KnownHeads(BTreeMap<i64, Vec<Head>>);

impl KnownHeads {
    /// Adds one; the same twice counts once.
    pub fn add(&mut self, segment: i64, head: Head) {
        let heads = self.0.entry(segment).or_default();
        if !heads.contains(&head) {
            heads.push(head);
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Verifies the log from its first row, in batches. `progress` is told the rows done, and how many there are
/// about.
pub async fn verify(
    db: &Db,
    _scope: &AdminScope,
    known: &KnownHeads,
    mut progress: impl FnMut(i64, i64) + Send,
) -> Result<Verified, VerifyError> {
    let rows_about = segment::end(db.reader()).await?.position;
    let mut verifier =
        Verifier { db, known, number: 0, position: 0, head: Head::NONE, drained_at: None, heads_known: 0 };
    loop {
        let records = segment::records(db.reader(), verifier.number, SEGMENTS_AT_ONCE).await?;
        if records.is_empty() && verifier.is_at_the_end().await? {
            break;
        }
        for record in records {
            verifier.segment(record).await?;
            progress(verifier.position, rows_about.max(verifier.position));
        }
    }
    verifier.not_cut_off()?;
    Ok(Verified {
        segments: verifier.number,
        rows: verifier.position,
        head: (verifier.number > 0).then_some(verifier.head),
        heads_known: verifier.heads_known,
        unsealed: unsealed_count(db).await?,
    })
}

/// How far it is: the last segment's number, position and head.
struct Verifier<'a> {
    db: &'a Db,
    known: &'a KnownHeads,
    number: i64,
    position: i64,
    head: Head,
    /// When the last segment was sealed after which no row was left.
    drained_at: Option<DateTime<Utc>>,
    heads_known: u64,
}

/// A row as it was found. SQLite keeps in a column what it is told to, whatever its type: what cannot be read
/// was changed.
struct Found {
    id: Option<AuditId>,
    position: i64,
    row: Option<AuditEntry>,
}

impl Found {
    fn read(row: &QueryResult) -> Self {
        let position = row.try_get("", "position").unwrap_or(i64::MAX);
        Self { id: row.try_get("", "id").ok(), position, row: AuditEntry::from_query_result(row, "").ok() }
    }

    /// Whether it would have this seal if it still had the id `id`.
    fn is(&self, seal: &Seal) -> bool {
        self.row
            .as_ref()
            .is_some_and(|row| Seal::of(&AuditEntry { id: seal.id, ..row.clone() }, self.position) == *seal)
    }
}

impl Verifier<'_> {
    async fn segment(&mut self, record: Record) -> Result<(), VerifyError> {
        let number = self.number.saturating_add(1);
        let wrong = |how| Err(VerifyError::Tampered(Tampering::Segment { segment: number, how }));
        if record.number != number {
            return wrong(if record.number > number {
                SegmentTampering::Missing
            } else {
                SegmentTampering::Changed
            });
        }
        let Some(segment) = record.segment else { return wrong(SegmentTampering::Changed) };
        if segment.previous_head != self.head || segment.position_first != self.position.saturating_add(1) {
            return wrong(SegmentTampering::Unchained);
        }
        let here = segment.head();
        for known in self.known.0.get(&number).into_iter().flatten() {
            if *known != here {
                return wrong(SegmentTampering::OtherHead { known: *known, here });
            }
            self.heads_known = self.heads_known.saturating_add(1);
        }
        self.rows(&segment).await?;
        if segment.drained {
            self.drained_at = Some(segment.sealed_at);
        }
        (self.number, self.position, self.head) = (number, segment.position_last(), here);
        Ok(())
    }

    /// Compares the rows of a segment with their seals, both in the order of positions.
    async fn rows(&self, segment: &Segment) -> Result<(), VerifyError> {
        let wrong = |id, position, how| {
            let segment = (position >= segment.position_first).then_some(segment.number);
            Err(VerifyError::Tampered(Tampering::Row { id, position, segment, how }))
        };
        let mut rows = self.rows_of(segment).await?.into_iter().peekable();
        for (position, seal) in (segment.position_first..).zip(&segment.seals) {
            let Some(row) = rows.next_if(|row| row.position <= position) else {
                let how = match self.position_of(seal.id).await? {
                    Some(to) => RowTampering::Moved { to },
                    None => RowTampering::Missing,
                };
                return wrong(Some(seal.id), position, how);
            };
            // Below the first segment, or twice at one position, for which the index must have been dropped.
            if row.position < position {
                return wrong(row.id, row.position, RowTampering::Inserted);
            }
            if row.id != Some(seal.id) || !row.is(seal) {
                let (id, how) = self.what_stands_there(&row, seal).await?;
                return wrong(id, position, how);
            }
            if let Some(how) = row.row.as_ref().and_then(|row| self.backdated(row.created_at)) {
                return wrong(row.id, position, how);
            }
        }
        match rows.next() {
            Some(row) => wrong(row.id, row.position, RowTampering::Inserted),
            None => Ok(()),
        }
    }

    /// What became of the row of `seal`, where another row, or another version of it, stands now; and which
    /// row to name.
    async fn what_stands_there(
        &self,
        row: &Found,
        seal: &Seal,
    ) -> Result<(Option<AuditId>, RowTampering), DbErr> {
        let named = Some(seal.id);
        if row.id == named {
            return Ok((named, RowTampering::Changed));
        }
        if self.position_of(seal.id).await?.is_none() {
            // It was given another id, or is gone; then one that was made up stands there, or those after it
            // moved up.
            return Ok((named, if row.is(seal) { RowTampering::Changed } else { RowTampering::Missing }));
        }
        let sealed_at = match row.id {
            Some(id) => self.sealed_position(id).await?,
            None => None,
        };
        let how =
            sealed_at.map_or(RowTampering::Inserted, |sealed_at| RowTampering::OutOfOrder { sealed_at });
        Ok((row.id, how))
    }

    /// A row that says it is older than the last seal after which no row was left, by more than a transaction
    /// takes.
    fn backdated(&self, created_at: DateTime<Utc>) -> Option<RowTampering> {
        let drained_at = self.drained_at?;
        let limit = drained_at.checked_sub_signed(TimeDelta::minutes(LATE_MINUTES_MAX))?;
        (created_at < limit).then_some(RowTampering::Backdated { created_at, drained_at })
    }

    /// The rows from the last segment to the end of this one, and one more than there should be.
    async fn rows_of(&self, segment: &Segment) -> Result<Vec<Found>, DbErr> {
        // Nothing may stand below the first segment.
        let after = if self.number == 0 { i64::MIN } else { self.position };
        let limit = u64::try_from(segment.seals.len()).unwrap_or(u64::MAX).saturating_add(1);
        let between = Condition::all()
            .add(Column::Position.gt(after))
            .add(Column::Position.lte(segment.position_last()));
        self.found(between, limit).await
    }

    /// Whether the log ends here: there are neither segments nor rows with a position after this one.
    async fn is_at_the_end(&self) -> Result<bool, VerifyError> {
        let after = if self.number == 0 { i64::MIN } else { self.position };
        let Some(row) = self.found(Column::Position.gt(after), 1).await?.pop() else { return Ok(true) };
        // A segment may have been sealed since it was looked for; then it is there now, with its rows.
        if !segment::records(self.db.reader(), self.number, 1).await?.is_empty() {
            return Ok(false);
        }
        let how = RowTampering::Inserted;
        Err(VerifyError::Tampered(Tampering::Row { id: row.id, position: row.position, segment: None, how }))
    }

    async fn found(&self, filter: impl IntoCondition, limit: u64) -> Result<Vec<Found>, DbErr> {
        let select = entity::Entity::find().filter(filter);
        let select = select.order_by_asc(Column::Position).order_by_asc(Column::Id).limit(limit).into_query();
        Ok(self.db.reader().query_all(&select).await?.iter().map(Found::read).collect())
    }

    /// Where a row stands now: at no position, perhaps; nothing when it is gone.
    async fn position_of(&self, id: AuditId) -> Result<Option<Option<i64>>, DbErr> {
        let select = entity::Entity::find().select_only().column(Column::Position).filter(Column::Id.eq(id));
        select.into_tuple().one(self.db.reader()).await
    }

    /// Where a row was sealed, if it was.
    async fn sealed_position(&self, id: AuditId) -> Result<Option<i64>, DbErr> {
        let mut after = 0;
        loop {
            let records = segment::records(self.db.reader(), after, SEGMENTS_AT_ONCE).await?;
            let Some(last) = records.last() else { return Ok(None) };
            after = last.number;
            for segment in records.iter().filter_map(|record| record.segment.as_ref()) {
                let mut seals = (segment.position_first..).zip(&segment.seals);
                if let Some((position, _)) = seals.find(|(_, seal)| seal.id == id) {
                    return Ok(Some(position));
                }
            }
        }
    }

    /// No head is known of a segment after the last.
    fn not_cut_off(&self) -> Result<(), VerifyError> {
        let after = self.number.saturating_add(1)..;
        let Some((segment, known)) =
            self.known.0.range(after).find_map(|(segment, heads)| Some((*segment, *heads.first()?)))
        else {
            return Ok(());
        };
        let how = SegmentTampering::CutOff { known, last: self.number };
        Err(VerifyError::Tampered(Tampering::Segment { segment, how }))
    }
}
