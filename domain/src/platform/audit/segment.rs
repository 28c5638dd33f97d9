//! A sealed segment of the audit log: its table, and the exact bytes that are hashed.
//!
//! ```text
//! row hash = SHA-256( "smallrun audit row 1\n",     number(position), id,
//!                     text(actor), text(action), text(subject), text(fields),
//!                     0 | 1 text(trace_id), 0 | 1 text(reason), number(created_at) )
//! head     = SHA-256( "smallrun audit segment 1\n", number(number), previous head,
//!                     number(position_first), number(position_last), 0 | 1 (drained),
//!                     number(sealed_at), text(id and row hash of each row, in the order of positions) )
//! ```
//!
//! A `number` is 8 bytes: signed, big-endian. An instant is a number: the microseconds since 1970, in UTC. A
//! `text` is its length in bytes, as a number, followed by the bytes. An id is 16 bytes; a hash and a head
//! are 32 bytes.
//!
//! So no two different rows or segments have the same encoding, and a row is encoded alike on SQLite and on
//! PostgreSQL. The head before the first segment is 32 zero bytes. The format never changes: a new format
//! would begin with another first line.

#![expect(
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "the table's own finders, and what its derive makes public"
)]

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DbErr, FromQueryResult, QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::*,
};
use sha2::{Digest, Sha256};

use super::AuditEntry;
use crate::platform::{
    Inconsistency,
    db::Tx,
    ids::{AuditId, EntityId},
};

const ROW: &[u8] = b"smallrun audit row 1\n";
const SEGMENT: &[u8] = b"smallrun audit segment 1\n";

/// The bytes of a row within a segment: its id and its hash.
const SEAL_BYTES: usize = 48;

mod entity {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_segments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        pub position_first: i64,
        pub position_last: i64,
        pub row_hashes: Vec<u8>,
        pub drained: bool,
        pub sealed_at: DateTime<Utc>,
        pub previous_head: Vec<u8>,
        pub head: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
use entity::Column;

/// The hash of a segment. It covers every row of the log up to the end of that segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head([u8; 32]);

impl Head {
    /// The head before the first segment.
    pub(super) const NONE: Self = Self([0; 32]);
}

/// The error for a text that is not a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a head is 64 hexadecimal digits")]
pub struct HeadError;

impl FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| HeadError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a segment stores of a row: enough to name a deleted row and to detect a changed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) id: AuditId,
    pub(super) hash: [u8; 32],
}

impl Seal {
    /// Returns the seal of a row at a position.
    pub(super) fn of(row: &AuditEntry, position: i64) -> Self {
        let mut hash = Encoder::begin(ROW);
        hash.number(position);
        hash.bytes(row.id.uuid().as_bytes());
        for text in [&row.actor, &row.action, &row.subject, &row.fields] {
            hash.text(text.as_bytes());
        }
        for text in [&row.trace_id, &row.reason] {
            hash.flag(text.is_some());
            if let Some(text) = text {
                hash.text(text.as_bytes());
            }
        }
        hash.instant(row.created_at);
        Self { id: row.id, hash: hash.end() }
    }
}

/// A segment: rows with consecutive positions that were sealed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// From 1, without gaps.
    pub(super) number: i64,
    pub(super) position_first: i64,
    /// One seal for each row.
    pub(super) seals: Vec<Seal>,
    /// Whether no row was left unsealed when this segment was sealed. Then every later row was written later.
    pub(super) drained: bool,
    pub(super) sealed_at: DateTime<Utc>,
    pub(super) previous_head: Head,
}

impl Segment {
    /// Returns the position of the last row.
    pub(super) fn position_last(&self) -> i64 {
        let count = i64::try_from(self.seals.len()).unwrap_or(i64::MAX);
        self.position_first.saturating_add(count).saturating_sub(1)
    }

    /// Returns the hash over the whole segment.
    pub(super) fn head(&self) -> Head {
        let mut hash = Encoder::begin(SEGMENT);
        hash.number(self.number);
        hash.bytes(&self.previous_head.0);
        hash.number(self.position_first);
        hash.number(self.position_last());
        hash.flag(self.drained);
        hash.instant(self.sealed_at);
        hash.text(&self.row_hashes());
        Head(hash.end())
    }

    fn row_hashes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.seals.len().saturating_mul(SEAL_BYTES));
        for seal in &self.seals {
            bytes.extend_from_slice(seal.id.uuid().as_bytes());
            bytes.extend_from_slice(&seal.hash);
        }
        bytes
    }

    /// Inserts the record of the segment.
    pub(super) async fn insert(&self, tx: &Tx) -> Result<(), DbErr> {
        let row = entity::ActiveModel {
            number: Set(self.number),
            position_first: Set(self.position_first),
            position_last: Set(self.position_last()),
            row_hashes: Set(self.row_hashes()),
            drained: Set(self.drained),
            sealed_at: Set(self.sealed_at),
            previous_head: Set(self.previous_head.0.to_vec()),
            head: Set(self.head().0.to_vec()),
        };
        entity::Entity::insert(row).exec_without_returning(tx.conn()).await.map(drop)
    }

    /// Reads a record. Returns `None` if its lengths or its head do not match its content.
    fn of_record(record: &entity::Model) -> Option<Self> {
        let (seals, rest) = record.row_hashes.as_chunks::<SEAL_BYTES>();
        if seals.is_empty() || !rest.is_empty() {
            return None;
        }
        let segment = Self {
            number: record.number,
            position_first: record.position_first,
            seals: seals.iter().map(Seal::of_bytes).collect::<Option<_>>()?,
            drained: record.drained,
            sealed_at: record.sealed_at,
            previous_head: Head(record.previous_head.as_slice().try_into().ok()?),
        };
        let agrees =
            segment.position_last() == record.position_last && segment.head().0.as_slice() == record.head;
        agrees.then_some(segment)
    }
}

impl Seal {
    fn of_bytes(bytes: &[u8; SEAL_BYTES]) -> Option<Self> {
        let (id, hash) = bytes.split_first_chunk::<16>()?;
        Some(Self { id: AuditId(Uuid::from_bytes(*id)), hash: hash.try_into().ok()? })
    }
}

/// The end of the sealed log: number, last position and head of the last segment, as stored in its record.
pub(super) struct LogEnd {
    pub(super) number: i64,
    pub(super) position: i64,
    pub(super) head: Head,
}

/// Returns the end of the log; all values are zero before the first segment.
pub(super) async fn end(on: &impl ConnectionTrait) -> Result<LogEnd, DbErr> {
    let last = entity::Entity::find()
        .select_only()
        .columns([Column::Number, Column::PositionLast, Column::Head])
        .order_by_desc(Column::Number)
        .into_tuple::<(i64, i64, Vec<u8>)>()
        .one(on)
        .await?;
    let Some((number, position, head)) = last else {
        return Ok(LogEnd { number: 0, position: 0, head: Head::NONE });
    };
    let head = head
        .as_slice()
        .try_into()
        .map_err(|_| Inconsistency::new(format_args!("the head of audit segment {number} is damaged")))?;
    Ok(LogEnd { number, position, head: Head(head) })
}

/// A stored record; `segment` is `None` if the record was changed.
pub(super) struct Record {
    pub(super) number: i64,
    pub(super) segment: Option<Segment>,
}

/// Returns at most `limit` records with a number above `after`, in order.
pub(super) async fn records(on: &impl ConnectionTrait, after: i64, limit: u64) -> Result<Vec<Record>, DbErr> {
    let select = entity::Entity::find()
        .filter(Column::Number.gt(after))
        .order_by_asc(Column::Number)
        .limit(limit)
        .into_query();
    // Rows are read one by one, because SQLite can store a text in a column of bytes. That is a finding, not
    // a failure.
    let records = on.query_all(&select).await?.into_iter().map(|row| {
        let record = entity::Model::from_query_result(&row, "").ok();
        let number = row.try_get("", "number")?;
        Ok(Record { number, segment: record.as_ref().and_then(Segment::of_record) })
    });
    records.collect()
}

/// Feeds values into a hash, with unambiguous ends.
struct Encoder(Sha256);

impl Encoder {
    fn begin(format: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(format))
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn number(&mut self, number: i64) {
        self.bytes(&number.to_be_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.bytes(&[u8::from(flag)]);
    }

    fn instant(&mut self, instant: DateTime<Utc>) {
        self.number(instant.timestamp_micros());
    }

    fn text(&mut self, text: &[u8]) {
        self.number(i64::try_from(text.len()).unwrap_or(i64::MAX));
        self.bytes(text);
    }

    fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn row() -> AuditEntry {
        AuditEntry {
            id: AuditId(Uuid::from_u128(0x0192_7f3a_0000_7000_8000_0000_0000_0001)),
            actor: "system:test".to_owned(),
            action: "drop.publish".to_owned(),
            subject: "drop_ü".to_owned(),
            fields: "title,closes_at".to_owned(),
            trace_id: None,
            reason: None,
            created_at: Utc.timestamp_micros(1_772_445_600_000_001).unwrap(),
            position: Some(7),
        }
    }

    fn segment() -> Segment {
        Segment {
            number: 2,
            position_first: 7,
            seals: vec![Seal::of(&row(), 7)],
            drained: true,
            sealed_at: Utc.timestamp_micros(1_772_445_601_000_000).unwrap(),
            previous_head: Head([0xAB; 32]),
        }
    }

    // The hashes were computed by another program from the format above. They must never change, because logs
    // contain old heads.
    #[test]
    fn the_format_is_unchanged() {
        let seal = Seal::of(&row(), 7);
        assert_eq!(
            hex::encode(seal.hash),
            "ef1b962fffeea53112a078d284ca430c87ce159727467b454a6c84d1f72592ee"
        );
        let traced = AuditEntry { trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()), ..row() };
        assert_eq!(
            hex::encode(Seal::of(&traced, 7).hash),
            "cfe5b88dbb0126da562d4bd0a34ed7893ecf226e1964d49a5373a73214840565"
        );
        assert_eq!(
            segment().head().to_string(),
            "2e79c430ac03af90287201255c8d10d5c534dda2331917fe595284d9fce9e48f"
        );
    }

    #[test]
    fn every_part_of_a_row_is_in_its_hash() {
        let other = |change: fn(&mut AuditEntry)| {
            let mut other = row();
            change(&mut other);
            Seal::of(&other, 7).hash
        };
        let hashes = [
            Seal::of(&row(), 7).hash,
            Seal::of(&row(), 8).hash,
            other(|row| row.id = AuditId(Uuid::from_u128(1))),
            other(|row| row.actor.push('x')),
            other(|row| row.action.push('x')),
            other(|row| row.subject.push('x')),
            other(|row| row.fields.push('x')),
            other(|row| row.trace_id = Some(String::new())),
            other(|row| row.reason = Some(String::new())),
            other(|row| row.reason = Some("x".to_owned())),
            other(|row| row.created_at = Utc.timestamp_micros(1_772_445_600_000_002).unwrap()),
        ];
        for (place, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..place].contains(hash), "{place}");
        }
    }

    #[test]
    fn every_part_of_a_segment_is_in_its_head() {
        let other = |change: fn(&mut Segment)| {
            let mut other = segment();
            change(&mut other);
            other.head()
        };
        let heads = [
            segment().head(),
            other(|segment| segment.number = 3),
            other(|segment| segment.position_first = 8),
            other(|segment| segment.drained = false),
            other(|segment| segment.sealed_at = Utc.timestamp_micros(0).unwrap()),
            other(|segment| segment.previous_head = Head::NONE),
            other(|segment| segment.seals[0].hash[31] ^= 1),
            other(|segment| segment.seals[0].id = AuditId(Uuid::from_u128(1))),
            other(|segment| segment.seals.push(segment.seals[0])),
        ];
        for (place, head) in heads.iter().enumerate() {
            assert!(!heads[..place].contains(head), "{place}");
        }
    }

    #[test]
    fn a_changed_record_is_not_read() {
        let segment = segment();
        let record = entity::Model {
            number: segment.number,
            position_first: segment.position_first,
            position_last: segment.position_last(),
            row_hashes: segment.row_hashes(),
            drained: segment.drained,
            sealed_at: segment.sealed_at,
            previous_head: segment.previous_head.0.to_vec(),
            head: segment.head().0.to_vec(),
        };
        assert_eq!(Segment::of_record(&record), Some(segment));
        let changes: [fn(&mut entity::Model); 11] = [
            |record| record.number = 3,
            |record| record.position_first = 8,
            |record| record.position_last = 8,
            |record| record.row_hashes[20] ^= 1,
            |record| record.row_hashes.push(0),
            |record| record.row_hashes.clear(),
            |record| record.drained = false,
            |record| record.sealed_at = Utc.timestamp_micros(0).unwrap(),
            |record| record.previous_head[0] ^= 1,
            |record| record.previous_head.clear(),
            |record| record.head.push(0),
        ];
        for (place, change) in changes.into_iter().enumerate() {
            let mut changed = record.clone();
            change(&mut changed);
            assert_eq!(Segment::of_record(&changed), None, "{place}");
        }
    }

    #[test]
    fn a_head_round_trips_through_its_text() {
        let head = segment().head();
        assert_eq!(head.to_string().parse(), Ok(head));
        assert_eq!(head.to_string().to_uppercase().parse(), Ok(head));
        for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(66)] {
            assert_eq!(wrong.parse::<Head>(), Err(HeadError), "{wrong}");
        }
    }

    proptest! {
        // The boundary between two texts is part of the hash.
        #[test]
        fn texts_do_not_run_into_each_other(whole in ".{0,12}", at in 0_usize..13, again in 0_usize..13) {
            let split = |at: usize| {
                let mut ends = whole.char_indices().map(|(at, _)| at).chain([whole.len()]);
                let at = ends.nth(at).unwrap_or(whole.len());
                let (actor, action) = whole.split_at(at);
                AuditEntry { actor: actor.to_owned(), action: action.to_owned(), ..row() }
            };
            let (one, other) = (split(at), split(again));
            prop_assert_eq!(one == other, Seal::of(&one, 1) == Seal::of(&other, 1));
        }
    }
}
