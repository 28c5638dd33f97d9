//! The audit log: who did what, when, to which fields; never personal values.
//!
//! Every write adds its rows in its own transaction ([`record`]), unsealed: a chain that each row hangs on
//! would be one row that all writers fight for. Within a second the relay gives them positions and makes a
//! [`mod@segment`] of them, whose hash stands on the one before ([`mod@seal`]). [`mod@verify`] finds what was
//! tampered with.
//!
//! What it is worth: whoever may write to the database can change rows of the last second before they are
//! sealed, and can seal the whole log anew. Against the latter the heads are logged: keep them where that
//! person cannot write.

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

    /// One write, as the audit log keeps it.
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
        /// Names of the fields that were changed, comma-separated.
        pub fields: String,
        pub trace_id: Option<String>,
        /// Why, in the actor's words, for the few actions that ask for it.
        pub reason: Option<String>,
        /// When the write was really made, by the clock of the machine.
        pub created_at: DateTime<Utc>,
        /// Its place in the sealed log, from 1, without gaps; nothing until it is sealed.
        pub position: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use entity::Model as AuditEntry;

/// Adds a row to the transaction of the write it tells of.
pub async fn record(
    tx: &Tx,
    action: &'static str,
    subject: impl EntityId,
    fields: &[&str],
) -> Result<(), DbErr> {
    record_all(tx, action, std::iter::once(subject), fields).await
}

/// Adds a row about something that has no id of its own, such as a country's tax rate.
pub async fn record_text(tx: &Tx, action: &'static str, subject: &str, fields: &[&str]) -> Result<(), DbErr> {
    insert(tx, action, vec![subject.to_owned()], fields, None).await
}

/// Adds a row about something that is gone now, with the reason that its actor gave. A reason holds no
/// personal values.
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

/// Adds a row for each subject, by whom and under which trace it was changed, with one statement: for work
/// that is done for several at once.
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

/// Whether rows wait to be sealed.
pub async fn any_unsealed(db: &Db) -> Result<bool, DbErr> {
    entity::Entity::find().filter(entity::Column::Position.is_null()).exists(db.reader()).await
}

/// Rows that wait to be sealed.
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

/// How many rows [`list`] has, capped.
pub async fn count(
    db: &Db,
    _scope: &AdminScope,
    subject: Option<&str>,
    actor: Option<&str>,
) -> Result<u64, DbErr> {
    count_capped(db.reader(), selected(subject, actor)).await
}

/// The log, newest first, optionally of one subject or one actor (public ids).
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
