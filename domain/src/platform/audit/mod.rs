//! The audit log: who changed which fields of what, and when. It never holds personal values.
//!
//! Every write adds its audit rows in its own transaction ([`record`]), unsealed. A hash chain over single
//! rows would be one row that all writers compete for. Within a second the relay gives the rows positions and
//! seals them as a [`mod@segment`], whose hash includes the hash of the segment before ([`mod@seal`]).
//! [`mod@verify`] detects tampering.
//!
//! What the log proves: anybody who can write to the database can change rows of the last second before they
//! are sealed, and can seal the whole log again. Against the latter, the server logs the head of each
//! segment. Keep these log lines where that person cannot write.

#![expect(clippy::disallowed_methods, reason = "the audit table's own finders")]

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    DbErr, Select, SelectExt,
    entity::prelude::*,
};

use super::{
    access::Actor,
    bulk,
    db::{Db, Tx},
    ids::{AuditId, EntityId},
    page::{Page, Slice, SortKey, SortValue, count_capped, slice},
    trace::TraceParent,
};
use crate::platform::access::AdminScope;

pub mod seal;
pub mod segment;
pub mod verify;

pub use seal::{SEGMENT_ROWS_MAX, Sealed, seal};
pub use segment::Head;
pub use verify::{KnownHeads, Tampering, Verified, VerifyError, verify};

mod entity {
    use super::*;

    /// A row of the audit log: one write.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: AuditId,
        /// The actor's public id, or `system:reason`.
        pub actor: String,
        /// Noun and verb, such as `drop.publish`.
        pub action: String,
        /// The public id of what was changed.
        pub subject: String,
        /// The names of the changed fields, separated by commas.
        pub fields: String,
        pub trace_id: Option<String>,
        /// The actor's own words, for the few actions that ask for a reason.
        pub reason: Option<String>,
        /// The real time of the write, by the clock of the machine.
        pub created_at: DateTime<Utc>,
        /// The position in the sealed log, from 1, without gaps; `None` until the row is sealed.
        pub position: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use entity::Model as AuditEntry;

/// Adds a row to the transaction of the write that it records.
pub async fn record(
    tx: &Tx,
    action: &'static str,
    subject: impl EntityId,
    fields: &[&str],
) -> Result<(), DbErr> {
    record_all(tx, action, std::iter::once(subject), fields).await
}

/// Adds a row about a subject without an id of its own, such as a country's tax rate.
pub async fn record_text(tx: &Tx, action: &'static str, subject: &str, fields: &[&str]) -> Result<(), DbErr> {
    insert(tx, action, vec![subject.to_owned()], fields, None).await
}

/// Adds a row about something that was deleted, with the actor's reason. A reason holds no personal values.
pub async fn record_with_reason(
    tx: &Tx,
    action: &'static str,
    subject: impl EntityId,
    reason: &str,
) -> Result<(), DbErr> {
    insert(tx, action, vec![subject.public()], &[], Some(reason)).await
}

/// Adds a row for each subject, with one statement.
pub async fn record_all<I: EntityId>(
    tx: &Tx,
    action: &'static str,
    subjects: impl IntoIterator<Item = I>,
    fields: &[&str],
) -> Result<(), DbErr> {
    insert(tx, action, subjects.into_iter().map(I::public).collect(), fields, None).await
}

/// Adds a row for each change, with its own actor and trace, with one statement. For batches that serve
/// several actors.
pub(crate) async fn record_each<I: EntityId>(
    tx: &Tx,
    action: &'static str,
    changes: impl IntoIterator<Item = (Actor, Option<TraceParent>, I)>,
    fields: &[&str],
) -> Result<(), DbErr> {
    let changes = changes.into_iter().map(|(actor, trace, subject)| (actor, trace, subject.public()));
    insert_each(tx, action, changes.collect(), fields, None).await
}

async fn insert(
    tx: &Tx,
    action: &'static str,
    subjects: Vec<String>,
    fields: &[&str],
    reason: Option<&str>,
) -> Result<(), DbErr> {
    let trace = TraceParent::current();
    let changes = subjects.into_iter().map(|subject| (tx.actor(), trace.clone(), subject));
    insert_each(tx, action, changes.collect(), fields, reason).await
}

async fn insert_each(
    tx: &Tx,
    action: &'static str,
    changes: Vec<(Actor, Option<TraceParent>, String)>,
    fields: &[&str],
    reason: Option<&str>,
) -> Result<(), DbErr> {
    let now = tx.recorded_at();
    let rows = changes.into_iter().map(|(actor, trace, subject)| entity::ActiveModel {
        id: Set(AuditId::from_uuid(tx.entropy().uuid(now))),
        actor: Set(actor.to_string()),
        action: Set(action.to_owned()),
        subject: Set(subject),
        fields: Set(fields.join(",")),
        trace_id: Set(trace.map(|trace| trace.trace_id().to_owned())),
        reason: Set(reason.map(str::to_owned)),
        created_at: Set(now),
        position: NotSet,
    });
    bulk::insert_all(tx, rows.collect()).await
}

/// Returns whether there are unsealed rows.
pub async fn any_unsealed(db: &Db) -> Result<bool, DbErr> {
    entity::Entity::find().filter(entity::Column::Position.is_null()).exists(db.reader()).await
}

/// Counts the unsealed rows.
pub async fn unsealed_count(db: &Db) -> Result<u64, DbErr> {
    entity::Entity::find().filter(entity::Column::Position.is_null()).count(db.reader()).await
}

fn selected(subject: Option<&str>, actor: Option<&str>) -> Select<entity::Entity> {
    let mut select = entity::Entity::find();
    if let Some(subject) = subject {
        select = select.filter(entity::Column::Subject.eq(subject));
    }
    if let Some(actor) = actor {
        select = select.filter(entity::Column::Actor.eq(actor));
    }
    select
}

/// Counts the rows that [`list`] returns, up to a cap.
pub async fn count(
    db: &Db,
    _scope: &AdminScope,
    subject: Option<&str>,
    actor: Option<&str>,
) -> Result<u64, DbErr> {
    count_capped(db.reader(), selected(subject, actor)).await
}

/// Returns a page of the log, newest first, optionally only of one subject or one actor (public ids).
pub async fn list(
    db: &Db,
    _scope: &AdminScope,
    subject: Option<&str>,
    actor: Option<&str>,
    page: &Page,
) -> Result<Slice<AuditEntry>, DbErr> {
    let select = selected(subject, actor);
    let sort = (entity::Column::CreatedAt, entity::Column::Id);
    slice(db.reader(), select, sort, true, page, |row| SortKey::new(SortValue::Time(row.created_at), row.id))
        .await
}
