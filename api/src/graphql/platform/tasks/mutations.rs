//! What administrators do with dead letters.

use async_graphql::{Context, ID, InputObject, Object};
use domain::platform::{
    NeverRefused,
    access::Administer,
    ids::TaskId,
    tasks::{self as rules, DiscardReason, DiscardRefusal, RequeueRefusal},
};

use super::Task;
use crate::graphql::{
    context::{Reach, global},
    errors::Internal,
    input::{Form, InvalidInput, both, id_at},
    payload::{answer, payload},
    user_error::user_error,
};

user_error!(TaskRequeueError, TaskRequeueErrorCode, RequeueRefusal {
    NotDead: "It is no dead letter: it waits for a worker, or one has it.",
} not_found: NotFound);
payload!(
    TaskRequeuePayload,
    TaskRequeueError {
        /// The task that waits for a worker again.
        id: ID,
        /// The task as it is now.
        task: Task,
    }
);

/// Which dead letter is to be tried again.
#[derive(InputObject)]
pub struct TaskRequeueInput {
    /// One of `deadLetters`.
    pub id: ID,
}

user_error!(TaskRequeueAllError, TaskRequeueAllErrorCode, NeverRefused {});
payload!(
    TaskRequeueAllPayload,
    TaskRequeueAllError {
        /// How many dead letters wait for a worker again.
        count: i32,
        /// Whether there may be more of that kind, because one call stops at ten thousand: ask again.
        more: bool,
    }
);

/// Which dead letters are to be tried again.
#[derive(InputObject)]
pub struct TaskRequeueAllInput {
    /// Of which kind, such as `send_mail`: 1 to 60 lower-case letters, digits and `_`.
    pub kind: String,
}

user_error!(TaskDiscardError, TaskDiscardErrorCode, DiscardRefusal {
    NotDead: "Only a dead letter can be discarded: this one waits for a worker, or one has it.",
} not_found: NotFound);
payload!(
    TaskDiscardPayload,
    TaskDiscardError {
        /// The task that is gone.
        id: ID,
    }
);

/// Which dead letter is to go, and why.
#[derive(InputObject)]
pub struct TaskDiscardInput {
    /// One of `deadLetters`.
    pub id: ID,
    /// Why: one line of 3 to 500 characters, which the audit log keeps for good. Name no persons.
    pub reason: String,
}

/// Writes on background work.
#[derive(Default)]
pub struct TasksMutation;

#[Object]
impl TasksMutation {
    /// Put a dead letter back into its queue, to be tried anew from now on. For administrators.
    async fn task_requeue(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which dead letter.")] input: TaskRequeueInput,
    ) -> async_graphql::Result<TaskRequeuePayload> {
        answer(async {
            let scope = ctx.scope(Administer)?;
            let row = rules::requeue(ctx.db(), &scope, id_at("id", &input.id)?).await?;
            Ok(TaskRequeuePayload::done(global(row.id), Task(row)))
        })
        .await
    }

    /// Put all dead letters of a kind back into their queue, once their common cause is mended. For
    /// administrators.
    async fn task_requeue_all(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which dead letters.")] input: TaskRequeueAllInput,
    ) -> async_graphql::Result<TaskRequeueAllPayload> {
        answer(async {
            let scope = ctx.scope(Administer)?;
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if !(1..=60).contains(&input.kind.len()) || !input.kind.bytes().all(letter) {
                return Err(InvalidInput::at("kind", "is no kind of task").into());
            }
            let done = rules::requeue_all(ctx.db(), &scope, &input.kind).await.internal()?;
            let count = i32::try_from(done.count).unwrap_or(i32::MAX);
            Ok(TaskRequeueAllPayload::done(count, done.more))
        })
        .await
    }

    /// Let a dead letter go for good: what it was to do will not be done. The audit log keeps the reason. For
    /// administrators.
    async fn task_discard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which dead letter, and why.")] input: TaskDiscardInput,
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
