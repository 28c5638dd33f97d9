//! The history of a task: each attempt that failed, in which way and why. It goes with its task.

#![expect(clippy::disallowed_methods, reason = "the history's own finders")]

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, DbErr, DeriveActiveEnum, QueryOrder, entity::prelude::*, sea_query::OnConflict,
};

use super::claim::Failure;
use crate::platform::{
    access::AdminScope,
    db::{Db, Tx},
    ids::TaskId,
};

/// In which way an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum Outcome {
    /// What does it said that it may go better later.
    #[sea_orm(string_value = "RETRY")]
    Retry,
    /// What does it said that it never will.
    #[sea_orm(string_value = "DISCARD")]
    Discard,
    /// It took longer than a task may, and was cut off.
    #[sea_orm(string_value = "TIMED_OUT")]
    TimedOut,
    /// It ended by a defect.
    #[sea_orm(string_value = "PANIC")]
    Panic,
    /// Its worker fell silent until the lease was over.
    #[sea_orm(string_value = "LOST")]
    Lost,
    /// No task that the version knows which looked at it.
    #[sea_orm(string_value = "UNREADABLE")]
    Unreadable,
}

impl Outcome {
    /// The word in metrics.
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

/// The most failures that are kept of a task: those of two rounds of attempts. The oldest go.
pub const FAILURES_MAX: i32 = 24;

mod entity {
    use super::*;

    /// An attempt that failed.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "task_failures")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: TaskId,
        /// Which attempt, from 1; attempts that were handed back leave gaps.
        #[sea_orm(primary_key, auto_increment = false)]
        pub attempt: i32,
        pub outcome: Outcome,
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

/// An error as it is kept.
pub(super) fn bounded(error: &str) -> String {
    error.chars().take(2_000).collect()
}

/// Writes a line for each of these attempts, and takes the oldest away where there are too many.
pub(super) async fn add_all(
    tx: &Tx,
    attempts: impl Iterator<Item = (TaskId, i32)>,
    failure: &Failure,
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
    // Workers of the version before count from 1 again when a dead letter is put back.
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

/// The attempts at tasks that failed, the newest first: one statement.
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
