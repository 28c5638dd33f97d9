//! Mutations that requeue or discard dead letters.

use std::ops::RangeInclusive;

use async_graphql::{Context, ID, InputObject, Object};
use domain::platform::{
    NeverRefused,
    access::Administer,
    ids::TaskId,
    tasks::{self as rules, DiscardReason, DiscardRefusal, RequeueRefusal},
};

use super::Task;
use crate::graphql::{
    context::{ContextExt, global},
    errors::Internal,
    input::{Form, InvalidInput, both, id_at},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(TaskRequeueError, TaskRequeueErrorCode, RequeueRefusal {
    NotDead: "The task is not a dead letter: it is waiting for a worker, or running.",
} not_found: NotFound);
payload!(
    TaskRequeuePayload,
    TaskRequeueError {
        /// The global id of the task, which waits for a worker again.
        id: ID,
        /// The task after the change.
        task: Task,
    }
);

/// A dead letter to requeue.
#[derive(InputObject)]
pub struct TaskRequeueInput {
    /// The global id of a dead letter; see the query `deadLetters`.
    pub id: ID,
}

user_error!(TaskRequeueAllError, TaskRequeueAllErrorCode, NeverRefused {});
payload!(
    TaskRequeueAllPayload,
    TaskRequeueAllError {
        /// The number of dead letters that wait for a worker again.
        count: i32,
        /// Whether more dead letters of the kind may remain, because one call stops at {REQUEUE}. If so,
        /// call again.
        more: bool,
    }
);

/// The shortest and the longest text that is looked up as a kind of tasks, in characters.
pub(in crate::graphql) const KIND_CHARS: RangeInclusive<usize> = 1..=60;

/// The dead letters to requeue.
#[derive(InputObject)]
pub struct TaskRequeueAllInput {
    /// The kind of the tasks, such as `send_mail`: {KIND_CHARS} lower-case letters, digits and `_`.
    pub kind: String,
}

user_error!(TaskDiscardError, TaskDiscardErrorCode, DiscardRefusal {
    NotDead: "The task is not a dead letter: it is waiting for a worker, or running. Only dead letters can \
        be discarded.",
} not_found: NotFound);
payload!(
    TaskDiscardPayload,
    TaskDiscardError {
        /// The global id of the task, which no longer exists.
        id: ID,
    }
);

/// A dead letter to discard, and the reason.
#[derive(InputObject)]
pub struct TaskDiscardInput {
    /// The global id of a dead letter; see the query `deadLetters`.
    pub id: ID,
    /// The reason, in one line of {DISCARD_REASON_CHARS} characters. The audit log keeps it for good, so
    /// do not name persons.
    pub reason: String,
}

/// The mutations of background tasks.
#[derive(Default)]
pub struct TasksMutation;

#[Object]
impl TasksMutation {
    /// Puts a dead letter back into its queue. Its attempts start again from now. For administrators.
    async fn task_requeue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dead letter.")] input: TaskRequeueInput,
    ) -> async_graphql::Result<TaskRequeuePayload> {
        answer(async {
            let scope = ctx.scope(Administer)?;
            let row = rules::requeue(ctx.db(), &scope, id_at("id", &input.id)?).await?;
            Ok(TaskRequeuePayload::done(global(row.id), Task(row)))
        })
        .await
    }

    /// Puts all dead letters of a kind back into their queue, once their common cause is fixed. For
    /// administrators.
    async fn task_requeue_all(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dead letters.")] input: TaskRequeueAllInput,
    ) -> async_graphql::Result<TaskRequeueAllPayload> {
        answer(async {
            let scope = ctx.scope(Administer)?;
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if !KIND_CHARS.contains(&input.kind.len()) || !input.kind.bytes().all(letter) {
                let (min, max) = KIND_CHARS.into_inner();
                let wrong = format!("must be {min} to {max} of a-z, 0-9 and _");
                return Err(InvalidInput::at("kind", wrong).into());
            }
            let done = rules::requeue_all(ctx.db(), &scope, &input.kind).await.internal()?;
            let count = i32::try_from(done.count).unwrap_or(i32::MAX);
            Ok(TaskRequeueAllPayload::done(count, done.more))
        })
        .await
    }

    /// Discards a dead letter for good: its work will never be done. The audit log keeps the reason. For
    /// administrators.
    async fn task_discard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The dead letter and the reason.")] input: TaskDiscardInput,
    ) -> async_graphql::Result<TaskDiscardPayload> {
        answer(async {
            let scope = ctx.scope(Administer)?;
            let mut form = Form::new();
            let task = form.id::<TaskId>("id", &input.id);
            let reason = form.field("reason", DiscardReason::new(&input.reason));
            let (task, reason) = form.finish(both(task, reason))?;
            rules::discard(ctx.db(), &scope, task, &reason).await?;
            Ok(TaskDiscardPayload::done(global(task)))
        })
        .await
    }
}
