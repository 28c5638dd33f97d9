//! The work that waits, runs, or was set aside.

use async_graphql::{Context, Enum, ID, InputObject, Object};
use domain::platform::{access::Administer, ids::TaskId, tasks as rules};

use super::{SeenTask, Task, TaskQueue, TaskState};
use crate::graphql::{
    connection::{Connection, List},
    context::Reach,
    errors::Internal,
    input::id_at,
};

/// Which background work is listed. All conditions hold.
#[derive(InputObject, Default)]
pub struct TaskFilter {
    /// Of this queue.
    pub queue: Option<TaskQueue>,
    /// Of this kind, such as `send_mail`.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<TaskState>,
    /// About this: an id, such as that of a checkout or a payment.
    pub subject: Option<String>,
}

impl From<TaskFilter> for rules::TaskFilter {
    fn from(filter: TaskFilter) -> Self {
        let (queue, state) = (filter.queue.map(Into::into), filter.state.map(Into::into));
        Self { queue, kind: filter.kind, state, subject: filter.subject }
    }
}

/// The order of background work.
#[derive(Enum, Debug, Copy, Clone, Eq, PartialEq)]
#[graphql(remote = "rules::TaskSort")]
pub enum TaskSort {
    /// What became necessary last comes first.
    Newest,
    /// What became necessary first comes first.
    Oldest,
    /// What runs next comes first.
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

/// Reads of background work.
#[derive(Default)]
pub struct TasksQuery;

#[Object]
impl TasksQuery {
    /// Background work that waits, runs, or was set aside. For administrators.
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only some of it.")] filter: Option<TaskFilter>,
        #[graphql(desc = "In which order.", default_with = "TaskSort::Newest")] sort: TaskSort,
    ) -> async_graphql::Result<Connection<Task>> {
        let list = match sort {
            TaskSort::Newest => "tasks:NEWEST",
            TaskSort::Oldest => "tasks:OLDEST",
            TaskSort::DueSoonest => "tasks:DUE_SOONEST",
        };
        listed(ctx, list, filter.unwrap_or_default().into(), sort.into()).await
    }

    /// Background work that failed too often, or for good, newest first: `tasks` in the state `DEAD`. For
    /// administrators.
    async fn dead_letters(&self, ctx: &Context<'_>) -> async_graphql::Result<Connection<Task>> {
        let dead = rules::TaskFilter { state: Some(rules::TaskState::Dead), ..rules::TaskFilter::default() };
        listed(ctx, "deadLetters", dead, rules::TaskSort::Newest).await
    }

    /// A piece of background work; null when there is none, or none any more, because it is done. For
    /// administrators.
    async fn task(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global id.")] id: ID,
    ) -> async_graphql::Result<Option<Task>> {
        ctx.scope(Administer)?;
        let id = id_at::<TaskId>("id", &id)?;
        Ok(ctx.load(SeenTask(id)).await?.map(Task))
    }
}
