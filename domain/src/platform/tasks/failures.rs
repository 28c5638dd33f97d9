//! The history of a task: each failed attempt, with its outcome and error. It is deleted with the task.

#![expect(clippy::disallowed_methods, reason = "the history's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, DbErr, DeriveActiveEnum, QueryOrder, entity::prelude::*, sea_query::OnConflict,
};

use super::claim::AttemptFailure;
use crate::platform::{
    access::AdminScope,
    db::{Db, Tx},
    ids::TaskId,
};

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum AttemptOutcome {
    /// The work reported a temporary failure.
    #[sea_orm(string_value = "RETRY")]
    Retry,
    /// The work reported a permanent failure.
    #[sea_orm(string_value = "DISCARD")]
    Discard,
    /// The attempt exceeded the time limit and was cut off.
    #[sea_orm(string_value = "TIMED_OUT")]
    TimedOut,
    /// The attempt panicked.
    #[sea_orm(string_value = "PANIC")]
    Panic,
    /// The worker did not renew its lease in time.
    #[sea_orm(string_value = "LOST")]
    Lost,
    /// The version of the worker could not read the payload.
    #[sea_orm(string_value = "UNREADABLE")]
    Unreadable,
}

impl AttemptOutcome {
    /// Returns the label in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Discard => "discard",
            Self::TimedOut => "timed_out",
            Self::Panic => "panic",
            Self::Lost => "lost",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The maximum number of failures kept for a task: two rounds of attempts. The oldest are deleted.
pub const FAILURES_MAX: i32 = 24;

mod entity {
    use super::*;

    /// A failed attempt.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "task_failures")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: TaskId,
        /// The number of the attempt, from 1. Attempts that were handed back leave gaps.
        #[sea_orm(primary_key, auto_increment = false)]
        pub attempt: i32,
        pub outcome: AttemptOutcome,
        /// The error with its causes.
        pub error: String,
        pub failed_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
pub use entity::Model as TaskFailure;
use entity::{ActiveModel, Column as C, Entity};

/// Cuts an error to the stored length, 2,000 characters.
pub(super) fn bounded(error: &str) -> String {
    error.chars().take(2_000).collect()
}

/// Writes a failure for each of these attempts, and deletes the oldest of a task that has too many.
pub(super) async fn add_all(
    tx: &Tx,
    attempts: impl Iterator<Item = (TaskId, i32)>,
    failure: &AttemptFailure,
) -> Result<(), DbErr> {
    let attempts: Vec<_> = attempts.collect();
    if attempts.is_empty() {
        return Ok(());
    }
    let rows = attempts.iter().map(|(task, attempt)| ActiveModel {
        task_id: Set(*task),
        attempt: Set(*attempt),
        outcome: Set(failure.outcome),
        error: Set(bounded(&failure.error)),
        failed_at: Set(tx.now()),
    });
    // Workers of the previous version count from 1 again when a dead letter is requeued.
    let again = OnConflict::columns([C::TaskId, C::Attempt])
        .update_columns([C::Outcome, C::Error, C::FailedAt])
        .to_owned();
    Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx.conn()).await?;
    for (task, attempt) in attempts.into_iter().filter(|(_, attempt)| *attempt > FAILURES_MAX) {
        let old = Entity::delete_many().filter(C::TaskId.eq(task));
        old.filter(C::Attempt.lte(attempt.saturating_sub(FAILURES_MAX))).exec(tx.conn()).await?;
    }
    Ok(())
}

/// Returns the failed attempts of tasks, newest first, with one statement.
pub async fn failures_of(
    db: &Db,
    _scope: &AdminScope,
    tasks: &[TaskId],
) -> Result<HashMap<TaskId, Vec<TaskFailure>>, DbErr> {
    let select = Entity::find().filter(C::TaskId.is_in(tasks.iter().copied()));
    let mut failures: HashMap<TaskId, Vec<TaskFailure>> = HashMap::new();
    for row in select.order_by_asc(C::TaskId).order_by_desc(C::Attempt).all(db.reader()).await? {
        failures.entry(row.task_id).or_default().push(row);
    }
    Ok(failures)
}
