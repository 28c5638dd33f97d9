//! Queries of background tasks.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use domain::platform::{access::Administer, ids::TaskId, tasks as rules};

use super::{SeenTask, Task, TaskQueue, TaskState};
use crate::graphql::{
    connection::{Connection, List},
    context::ContextExt,
    errors::Internal,
    input::id_at,
};

/// A filter of background tasks. All conditions must hold.
#[derive(InputObject, Default)]
pub struct TaskFilter {
    /// Only tasks of this queue.
    pub queue: Option<TaskQueue>,
    /// Only tasks of this kind, such as `send_mail`.
    pub kind: Option<String>,
    /// Only tasks in this state.
    pub state: Option<TaskState>,
    /// Only tasks about this subject: an id, such as that of a checkout or a payment.
    pub subject: Option<String>,
}

impl From<TaskFilter> for rules::TaskFilter {
    fn from(filter: TaskFilter) -> Self {
        let (queue, state) = (filter.queue.map(Into::into), filter.state.map(Into::into));
        Self { queue, kind: filter.kind, state, subject: filter.subject }
    }
}

/// The order of a list of background tasks.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::TaskSort")]
pub enum TaskSort {
    /// The most recently created first.
    Newest,
    /// The earliest created first.
    Oldest,
    /// By the time of the next attempt, the earliest first.
    DueSoonest,
}

async fn listed(
    ctx: &Context<'_>,
    list: &str,
    filter: rules::TaskFilter,
    sort: rules::TaskSort,
) -> async_graphql::Result<Connection<Task>> {
    let scope = ctx.scope(Administer)?;
    let list = List::of(ctx, list)?;
    let slice = rules::list(ctx.db(), &scope, &filter, sort, &list.page).await.internal()?;
    Ok(list.connection(slice.map(Task), ctx.db(), (scope, filter), |db, (scope, filter)| async move {
        rules::count(&db, &scope, &filter).await
    }))
}

/// The queries of background tasks.
#[derive(Default)]
pub struct TasksQuery;

#[Object]
impl TasksQuery {
    /// The background tasks that wait, run, or failed for good. For administrators.
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "A filter.")] filter: Option<TaskFilter>,
        #[graphql(desc = "The order.", default_with = "TaskSort::Newest")] sort: TaskSort,
    ) -> async_graphql::Result<Connection<Task>> {
        let list = match sort {
            TaskSort::Newest => "tasks:NEWEST",
            TaskSort::Oldest => "tasks:OLDEST",
            TaskSort::DueSoonest => "tasks:DUE_SOONEST",
        };
        listed(ctx, list, filter.unwrap_or_default().into(), sort.into()).await
    }

    /// The dead letters, newest first: the tasks that failed too often or for good. They are the `tasks` in
    /// the state `DEAD`. For administrators.
    async fn dead_letters(&self, ctx: &Context<'_>) -> async_graphql::Result<Connection<Task>> {
        let dead = rules::TaskFilter { state: Some(rules::TaskState::Dead), ..rules::TaskFilter::default() };
        listed(ctx, "deadLetters", dead, rules::TaskSort::Newest).await
    }

    /// A background task. Null if it does not exist, or no longer exists because it is done. For
    /// administrators.
    async fn task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the task.")] id: ID,
    ) -> async_graphql::Result<Option<Task>> {
        ctx.scope(Administer)?;
        let id = id_at::<TaskId>("id", &id)?;
        Ok(ctx.load(SeenTask(id)).await?.map(Task))
    }
}
