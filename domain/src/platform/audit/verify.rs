//! Verification: reads the sealed log from its first row and reports the first difference from what was
//! sealed.
//!
//! Verification can run while a server seals: a segment and the positions of its rows are written in one
//! transaction, and no later transaction changes them.

#![expect(clippy::disallowed_methods, reason = "reads the audit table as it is, tampered rows included")]

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

/// The number of segments read at once, some hundred kilobytes.
const SEGMENTS_AT_ONCE: u64 = 20;

/// How much older than an earlier drained seal a row may be. It is longer than any transaction, and more than
/// the clocks of two machines differ.
const LATE_MINUTES_MAX: i64 = 10;

/// A sealed log without differences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The number of verified segments.
    pub segments: i64,
    /// The number of their rows.
    pub rows: i64,
    /// The head of the last segment; `None` when nothing is sealed.
    pub head: Option<Head>,
    /// The number of known heads that match the segments.
    pub heads_known: u64,
    /// The number of unsealed rows, which cannot be verified.
    pub unsealed: u64,
}

/// The first difference that was found. Positions and segment numbers count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tampering {
    /// A row is wrong.
    Row {
        /// The row's id; `None` when the stored value is not an id.
        id: Option<AuditId>,
        /// The position of the difference.
        position: i64,
        /// The segment of this position; `None` when no segment contains it.
        segment: Option<i64>,
        /// What is wrong.
        how: RowTampering,
    },
    /// The record of a segment is wrong.
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
    /// The row differs from what was sealed.
    Changed,
    /// The row was sealed and is gone.
    Missing,
    /// The row was never sealed.
    Inserted,
    /// The row was sealed long after its own date, so it was made up later.
    Backdated {
        /// The date in the row.
        created_at: DateTime<Utc>,
        /// When everything written up to then had been sealed.
        drained_at: DateTime<Utc>,
    },
    /// The row was sealed at another position.
    OutOfOrder {
        /// The position at which it was sealed.
        sealed_at: i64,
    },
    /// The row was sealed at this position, and now has another one or none.
    Moved {
        /// The current position.
        to: Option<i64>,
    },
}

/// What is wrong with a segment's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentTampering {
    /// The record contradicts itself.
    Changed,
    /// The record is gone, although later ones exist.
    Missing,
    /// The record does not continue the segment before it: one of the two was sealed again.
    Unchained,
    /// A known head of this segment differs.
    OtherHead {
        /// The known head.
        known: Head,
        /// The head in the database.
        here: Head,
    },
    /// A head of this segment is known, but the log ends before it.
    CutOff {
        /// The known head.
        known: Head,
        /// The number of the last segment in the database.
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
                "is backdated: it has the date {created_at}, but everything written until {drained_at} \
                 had been sealed before it"
            ),
            Self::OutOfOrder { sealed_at } => {
                write!(f, "is out of order: it was sealed at position {sealed_at}")
            }
            Self::Moved { to: Some(to) } => {
                write!(f, "is out of order: it was moved from there to position {to}")
            }
            Self::Moved { to: None } => {
                f.write_str("is out of order: its position was removed after it was sealed")
            }
        }
    }
}

impl fmt::Display for SegmentTampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("was changed: its record no longer matches its head"),
            Self::Missing => f.write_str("is missing: its record was deleted"),
            Self::Unchained => {
                f.write_str("does not continue the segment before it: one of the two was sealed again")
            }
            Self::OtherHead { known, here } => {
                write!(f, "was logged with the head {known}, but the one here is {here}")
            }
            Self::CutOff { known, last } => {
                write!(
                    f,
                    "was logged with the head {known}, but the last one here is {last}: \
                     the log's tail was cut off"
                )
            }
        }
    }
}

/// Why a log was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log was tampered with.
    #[error("{0}")]
    Tampered(Tampering),
    /// The database failed; the state of the log is unknown.
    #[error("the database failed")]
    Db(#[from] DbErr),
}

/// Heads known from elsewhere, such as from the server's log, by segment number.
#[derive(Debug, Clone, Default)]
pub struct KnownHeads(BTreeMap<i64, Vec<Head>>);

impl KnownHeads {
    /// Adds a head; duplicates count once.
    pub fn add(&mut self, segment: i64, head: Head) {
        let heads = self.0.entry(segment).or_default();
        if !heads.contains(&head) {
            heads.push(head);
        }
    }

    /// Returns whether no heads are known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Verifies the log from its first row, in batches. `progress` is called with the number of verified rows and
/// the approximate number of all rows.
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

/// The state of a verification: number, position and head of the last verified segment.
struct Verifier<'a> {
    db: &'a Db,
    known: &'a KnownHeads,
    number: i64,
    position: i64,
    head: Head,
    /// When the last drained segment was sealed: one after which no row was left unsealed.
    drained_at: Option<DateTime<Utc>>,
    heads_known: u64,
}

/// A row as found. SQLite stores values of any type in a column, so a row that cannot be read was changed.
struct FoundRow {
    id: Option<AuditId>,
    position: i64,
    row: Option<AuditEntry>,
}

impl FoundRow {
    fn read(row: &QueryResult) -> Self {
        let position = row.try_get("", "position").unwrap_or(i64::MAX);
        Self { id: row.try_get("", "id").ok(), position, row: AuditEntry::from_query_result(row, "").ok() }
    }

    /// Returns whether the row has this seal, apart from its id.
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

    /// Compares the rows of a segment with their seals, in the order of positions.
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
            // The row is below the first segment, or a second one at this position, for which the unique
            // index was dropped.
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

    /// Finds out what happened to the sealed row when its position holds another row or another version of
    /// it. Returns the id of the row to report, and the difference.
    async fn what_stands_there(
        &self,
        row: &FoundRow,
        seal: &Seal,
    ) -> Result<(Option<AuditId>, RowTampering), DbErr> {
        let named = Some(seal.id);
        if row.id == named {
            return Ok((named, RowTampering::Changed));
        }
        if self.position_of(seal.id).await?.is_none() {
            // The row was given another id, or was deleted. In the latter case a made-up row took its
            // position, or the rows after it moved up.
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

    /// Returns the difference if the row claims to be older than the last drained seal by more than any
    /// transaction takes.
    fn backdated(&self, created_at: DateTime<Utc>) -> Option<RowTampering> {
        let drained_at = self.drained_at?;
        let limit = drained_at.checked_sub_signed(TimeDelta::minutes(LATE_MINUTES_MAX))?;
        (created_at < limit).then_some(RowTampering::Backdated { created_at, drained_at })
    }

    /// Returns the rows from the previous segment to the end of this one, and one more than expected.
    async fn rows_of(&self, segment: &Segment) -> Result<Vec<FoundRow>, DbErr> {
        // No row may have a position below the first segment.
        let after = if self.number == 0 { i64::MIN } else { self.position };
        let limit = u64::try_from(segment.seals.len()).unwrap_or(u64::MAX).saturating_add(1);
        let between = Condition::all()
            .add(Column::Position.gt(after))
            .add(Column::Position.lte(segment.position_last()));
        self.found(between, limit).await
    }

    /// Returns whether the log ends here: neither a segment nor a positioned row follows.
    async fn is_at_the_end(&self) -> Result<bool, VerifyError> {
        let after = if self.number == 0 { i64::MIN } else { self.position };
        let Some(row) = self.found(Column::Position.gt(after), 1).await?.pop() else { return Ok(true) };
        // A segment may have been sealed since the last read; then it is found now, with its rows.
        if !segment::records(self.db.reader(), self.number, 1).await?.is_empty() {
            return Ok(false);
        }
        let how = RowTampering::Inserted;
        Err(VerifyError::Tampered(Tampering::Row { id: row.id, position: row.position, segment: None, how }))
    }

    async fn found(&self, filter: impl IntoCondition, limit: u64) -> Result<Vec<FoundRow>, DbErr> {
        let select = entity::Entity::find().filter(filter);
        let select = select.order_by_asc(Column::Position).order_by_asc(Column::Id).limit(limit).into_query();
        Ok(self.db.reader().query_all(&select).await?.iter().map(FoundRow::read).collect())
    }

    /// Returns the current position of a row; the outer `None` means that the row is gone.
    async fn position_of(&self, id: AuditId) -> Result<Option<Option<i64>>, DbErr> {
        let select = entity::Entity::find().select_only().column(Column::Position).filter(Column::Id.eq(id));
        select.into_tuple().one(self.db.reader()).await
    }

    /// Returns the position at which a row was sealed, if it was.
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

    /// Checks that no head is known for a segment after the last one.
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
