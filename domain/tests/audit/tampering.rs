//! Somebody with write access to the database changes the log by hand: verification reports the first
//! difference.

use chrono::TimeDelta;
use domain::platform::{
    Db,
    audit::{
        Head, Tampering,
        verify::{RowTampering as Row, SegmentTampering as Segment},
    },
    ids::AuditId,
};
use sea_orm::DbBackend;
use testkit::{Kit, on_both};
use uuid::Uuid;

use super::{ids, lease, run, seal, verify, write};

/// Three segments of four rows.
struct Log {
    kit: Kit,
    fence: i64,
    ids: Vec<AuditId>,
    heads: Vec<(i64, Head)>,
}

/// Ids that sort before and after all others.
const FIRST: u128 = 1;
const LAST: u128 = u128::MAX;

impl Log {
    async fn sealed(kit: Kit) -> Self {
        let fence = lease(&kit.db, 1).await.unwrap();
        let mut heads = Vec::new();
        for segment in 0..3 {
            write(&kit.db, segment * 4 + 1..=segment * 4 + 4).await;
            let sealed = seal(&kit.db, fence, 4).await.unwrap();
            heads.push((sealed.segment, sealed.head));
        }
        for table in ["audit", "audit_segments"] {
            run(&kit.db, &format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
        }
        Self { fence, ids: ids(&kit.db).await, heads, kit }
    }

    fn db(&self) -> &Db {
        &self.kit.db
    }

    /// Restores the log as it was before the tampering, and verifies it.
    async fn restore(&self) {
        for table in ["audit", "audit_segments"] {
            run(self.db(), &format!("DELETE FROM {table}")).await;
            run(self.db(), &format!("INSERT INTO {table} SELECT * FROM kept_{table}")).await;
        }
        verify(self.db(), &self.heads).await.unwrap();
    }

    /// Tampers with the log, verifies it and restores it. Returns the difference found without known heads.
    async fn found(&self, statements: &[&str]) -> Option<Tampering> {
        for sql in statements {
            run(self.db(), sql).await;
        }
        let found = verify(self.db(), &[]).await.err();
        self.restore().await;
        found
    }

    /// Returns the tampering with the row at a position, from 1.
    fn row(&self, position: i64, how: Row) -> Option<Tampering> {
        let id = self.ids[usize::try_from(position).unwrap() - 1];
        Some(Tampering::Row { id: Some(id), position, segment: Some((position + 3) / 4), how })
    }

    /// Returns a statement that inserts a forged row.
    fn forged(&self, id: u128, position: &str) -> String {
        format!(
            "INSERT INTO audit (id, actor, action, subject, fields, created_at, position)
             SELECT {}, actor, action, subject, fields, created_at, {position}
             FROM kept_audit WHERE position = 6",
            self.id(id)
        )
    }

    /// Returns an id as a SQL literal.
    fn id(&self, id: u128) -> String {
        match self.db().backend() {
            DbBackend::Postgres => format!("'{}'::uuid", Uuid::from_u128(id)),
            _ => format!("x'{}'", Uuid::from_u128(id).simple()),
        }
    }
}

fn segment(segment: i64, how: Segment) -> Option<Tampering> {
    Some(Tampering::Segment { segment, how })
}

/// Moves the rows from position `from` on by `by` positions, without violating the unique index.
fn shift(from: i64, by: i64) -> [String; 2] {
    [
        format!("UPDATE audit SET position = -(position + {by}) WHERE position >= {from}"),
        "UPDATE audit SET position = -position WHERE position < 0".to_owned(),
    ]
}

fn swap(one: i64, other: i64) -> [String; 3] {
    [
        format!("UPDATE audit SET position = -1 WHERE position = {one}"),
        format!("UPDATE audit SET position = {one} WHERE position = {other}"),
        format!("UPDATE audit SET position = {other} WHERE position = -1"),
    ]
}

on_both! {
    async fn a_changed_row_is_named_whichever_column_it_is(kit: Kit) {
        let log = Log::sealed(kit).await;
        for change in [
            "actor = 'system:nobody'",
            "actor = ''",
            "action = 'test.other'",
            "subject = 'somebody else'",
            "fields = 'one'",
            "trace_id = ''",
            "reason = ''",
            "reason = 'mended by hand'",
            "trace_id = '0af7651916cd43dd8448eb211c80319c'",
            "created_at = '2026-03-02T10:00:00.000001+00:00'",
            &format!("id = {}", log.id(LAST)),
            // Moves a character from one text to the other.
            "action = 'test.writesubjec', subject = 't 6'",
        ] {
            for position in [1, 6, 12] {
                let sql = format!("UPDATE audit SET {change} WHERE position = {position}");
                let found = log.found(&[&sql]).await;
                assert_eq!(found, log.row(position, Row::Changed), "{change}");
            }
        }
        let several = log.found(&["UPDATE audit SET actor = 'x' WHERE position IN (11, 7, 12)"]).await;
        assert_eq!(several, log.row(7, Row::Changed), "the first of the changed rows");
    }

    async fn a_deleted_row_is_named(kit: Kit) {
        let log = Log::sealed(kit).await;
        for position in [1, 4, 5, 6, 12] {
            let delete = format!("DELETE FROM audit WHERE position = {position}");
            assert_eq!(log.found(&[&delete]).await, log.row(position, Row::Missing));
            // The rows after it move up.
            let [up, back] = shift(position + 1, -1);
            assert_eq!(log.found(&[&delete, &up, &back]).await, log.row(position, Row::Missing));
            // Another row takes its place.
            let forged = log.forged(LAST, &position.to_string());
            let other = format!("UPDATE audit SET subject = 'nobody' WHERE position = {position}");
            assert_eq!(log.found(&[&delete, &forged, &other]).await, log.row(position, Row::Missing));
        }
        assert_eq!(log.found(&["DELETE FROM audit"]).await, log.row(1, Row::Missing));
    }

    async fn an_inserted_row_is_named(kit: Kit) {
        let log = Log::sealed(kit).await;
        for id in [FIRST, LAST] {
            let inserted = |position, segment| {
                let id = Some(AuditId(Uuid::from_u128(id)));
                Some(Tampering::Row { id, position, segment, how: Row::Inserted })
            };
            for position in [-5, 0, 13, 40] {
                let forged = log.forged(id, &position.to_string());
                assert_eq!(log.found(&[&forged]).await, inserted(position, None));
            }
            for (position, segment) in [(1, 1), (6, 2), (12, 3)] {
                let ([up, back], forged) = (shift(position, 1), log.forged(id, &position.to_string()));
                assert_eq!(log.found(&[&up, &back, &forged]).await, inserted(position, Some(segment)));
                // Two rows at one position.
                run(log.db(), "DROP INDEX ix_audit_position").await;
                assert_eq!(log.found(&[&forged]).await, inserted(position, Some(segment)));
                run(
                    log.db(),
                    "CREATE UNIQUE INDEX ix_audit_position ON audit (position) WHERE position IS NOT NULL",
                )
                .await;
            }
        }
    }

    async fn reordered_rows_are_named(kit: Kit) {
        let log = Log::sealed(kit).await;
        for (one, other) in [(1, 2), (3, 10), (11, 12)] {
            let swapped = log.found(&swap(one, other).each_ref().map(String::as_str)).await;
            let Some(Tampering::Row { id, position, how, .. }) = swapped else { panic!("{swapped:?}") };
            assert_eq!((id, position), (Some(log.ids[usize::try_from(other).unwrap() - 1]), one));
            assert_eq!(how, Row::OutOfOrder { sealed_at: other });
        }
        let found = log.found(&["UPDATE audit SET position = NULL WHERE position = 6"]).await;
        assert_eq!(found, log.row(6, Row::Moved { to: None }));
        let found = log.found(&["UPDATE audit SET position = 40 WHERE position = 6"]).await;
        assert_eq!(found, log.row(6, Row::Moved { to: Some(40) }));
        // The row is sealed again, at the end.
        run(log.db(), "UPDATE audit SET position = NULL WHERE position = 6").await;
        seal(log.db(), log.fence, 4).await.unwrap();
        assert_eq!(verify(log.db(), &[]).await.err(), log.row(6, Row::Moved { to: Some(13) }));
    }

    async fn a_backdated_row_is_named(kit: Kit) {
        let log = Log::sealed(kit).await;
        // All three segments are full, so it is unknown whether every row was sealed then.
        run(log.db(), &log.forged(FIRST, "NULL")).await;
        run(
            log.db(),
            "UPDATE audit SET created_at = '2020-01-01T00:00:00+00:00' WHERE position IS NULL",
        )
        .await;
        seal(log.db(), log.fence, 4).await.unwrap();
        verify(log.db(), &log.heads).await.unwrap();
        // Segments four and five are drained. A transaction may take up to ten minutes …
        let limit = TimeDelta::minutes(10);
        for (late, is_found) in [(limit, false), (limit + TimeDelta::microseconds(1), true)] {
            run(log.db(), "DELETE FROM audit_segments WHERE number > 4").await;
            run(log.db(), "DELETE FROM audit WHERE position > 13").await;
            log.kit.clock.advance(TimeDelta::hours(1));
            let drained_at = log.db().now();
            write(log.db(), 1..=1).await;
            assert!(seal(log.db(), log.fence, 4).await.unwrap().drained);
            log.kit.clock.advance(TimeDelta::hours(1));
            let created_at = drained_at - late;
            run(log.db(), &log.forged(LAST, "NULL")).await;
            let date = created_at.to_rfc3339();
            run(
                log.db(),
                &format!("UPDATE audit SET created_at = '{date}' WHERE position IS NULL"),
            )
            .await;
            assert_eq!(seal(log.db(), log.fence, 4).await.unwrap().segment, 6);
            // … but not longer.
            let id = Some(AuditId(Uuid::from_u128(LAST)));
            let how = Row::Backdated { created_at, drained_at };
            let backdated = Tampering::Row { id, position: 15, segment: Some(6), how };
            assert_eq!(verify(log.db(), &[]).await.err(), is_found.then_some(backdated));
        }
    }

    async fn a_tampered_segment_is_named(kit: Kit) {
        let log = Log::sealed(kit).await;
        for column in ["row_hashes", "previous_head", "head", "position_first", "position_last"] {
            let of_first = format!("(SELECT {column} FROM kept_audit_segments WHERE number = 1)");
            let sql = format!("UPDATE audit_segments SET {column} = {of_first} WHERE number = 2");
            let found = log.found(&[&sql]).await;
            assert_eq!(found, segment(2, Segment::Changed), "{column}");
        }
        for change in
            ["drained = NOT drained", "sealed_at = '2026-03-02T09:00:00+00:00'", "head = previous_head"]
        {
            let found = log.found(&[&format!("UPDATE audit_segments SET {change} WHERE number = 3")]).await;
            assert_eq!(found, segment(3, Segment::Changed), "{change}");
        }
        for gone in [1, 2] {
            let found = log.found(&[&format!("DELETE FROM audit_segments WHERE number = {gone}")]).await;
            assert_eq!(found, segment(gone, Segment::Missing));
        }
        // Only the segment is deleted; its rows still exist.
        let found = log.found(&["DELETE FROM audit_segments WHERE number = 3"]).await;
        let id = Some(log.ids[8]);
        assert_eq!(found, Some(Tampering::Row { id, position: 9, segment: None, how: Row::Inserted }));
    }

    async fn a_segment_that_was_sealed_again_is_named(kit: Kit) {
        let log = Log::sealed(kit).await;
        run(log.db(), "DELETE FROM audit_segments WHERE number >= 2").await;
        run(log.db(), "UPDATE audit SET position = NULL WHERE position BETWEEN 5 AND 8").await;
        run(log.db(), "UPDATE audit SET actor = 'system:nobody' WHERE subject = 'subject 6'").await;
        let anew = seal(log.db(), log.fence, 4).await.unwrap();
        assert_eq!((anew.segment, anew.rows), (2, 4));
        run(log.db(), "INSERT INTO audit_segments SELECT * FROM kept_audit_segments WHERE number = 3").await;
        assert_eq!(verify(log.db(), &[]).await.err(), segment(3, Segment::Unchained));
        let known = log.heads[1].1;
        let other = Segment::OtherHead { known, here: anew.head };
        assert_eq!(verify(log.db(), &log.heads).await.err(), segment(2, other));
    }

    async fn only_known_heads_reveal_a_log_that_was_sealed_again_or_cut_off(kit: Kit) {
        let log = Log::sealed(kit).await;
        run(log.db(), "DELETE FROM audit_segments WHERE number = 3").await;
        run(log.db(), "DELETE FROM audit WHERE position > 8").await;
        assert_eq!(verify(log.db(), &[]).await.unwrap().rows, 8);
        assert_eq!(verify(log.db(), &log.heads[..2]).await.unwrap().heads_known, 2);
        let (third, known) = log.heads[2];
        let cut_off = Segment::CutOff { known, last: 2 };
        assert_eq!(verify(log.db(), &log.heads).await.err(), segment(third, cut_off));
        // Rows written afterwards do not hide it.
        write(log.db(), 9..=12).await;
        let here = seal(log.db(), log.fence, 4).await.unwrap().head;
        assert_eq!(verify(log.db(), &[]).await.unwrap().rows, 12);
        let other = Segment::OtherHead { known, here };
        assert_eq!(verify(log.db(), &log.heads).await.err(), segment(third, other));
        // The whole log is deleted.
        run(log.db(), "DELETE FROM audit_segments").await;
        run(log.db(), "DELETE FROM audit").await;
        assert_eq!(verify(log.db(), &[]).await.unwrap().rows, 0);
        let (first, known) = log.heads[0];
        let cut_off = Segment::CutOff { known, last: 0 };
        assert_eq!(verify(log.db(), &log.heads).await.err(), segment(first, cut_off));
    }
}

/// SQLite stores values of any type in a column, whatever its declared type.
#[test]
fn unreadable_values_are_findings_not_failures() {
    testkit::run(Kit::sqlite(), |kit| async {
        let log = Log::sealed(kit).await;
        for change in ["created_at = 'never'", "actor = x'FF'", "subject = x'00'", "trace_id = x'FE'"] {
            let found = log.found(&[&format!("UPDATE audit SET {change} WHERE position = 6")]).await;
            assert_eq!(found, log.row(6, Row::Changed), "{change}");
        }
        assert_eq!(
            log.found(&["UPDATE audit SET id = 'x' WHERE position = 6"]).await,
            log.row(6, Row::Missing)
        );
        for change in
            ["row_hashes = 'x'", "head = 'x'", "previous_head = x''", "sealed_at = 'x'", "drained = 'x'"]
        {
            let found = log.found(&[&format!("UPDATE audit_segments SET {change} WHERE number = 2")]).await;
            assert_eq!(found, segment(2, Segment::Changed), "{change}");
        }
    });
}
