//! The common part of subscriptions: they send the present state first, and then each new state.
//!
//! A subscription starts to listen before it reads, so that no change is lost in between. It sends the state
//! of a thing and not the changes: several changes in a short time are sent as one state, and the last state
//! is always sent.

use std::{future::Future, sync::Arc};

use async_graphql::{Context, Error};
use chrono::{DateTime, Utc};
use edge::live::{feed::AskedLooks, runs::Turn};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::context::ContextExt;
use crate::live::{
    AGAIN_AFTER, Live, PACE,
    topics::{Topic, TopicListener},
    until_instant,
};

/// A state, and the time at which it will change without any event.
pub(crate) struct Look<T> {
    pub(crate) value: T,
    pub(crate) changes_at: Option<DateTime<Utc>>,
}

/// The stream of states of a subscription. `None` is the last item, if the thing is gone or hidden.
pub(crate) type States<T> = BoxStream<'static, Option<T>>;

/// Follows a thing by a topic. `read` is called once the subscription listens, and again whenever the thing
/// may have changed. If `read` finds nothing, the subscription sends `None` and completes.
pub(crate) async fn follow<T, R, F>(
    ctx: &Context<'_>,
    topic: Topic,
    read: R,
) -> async_graphql::Result<States<T>>
where
    T: Send + 'static,
    R: Fn() -> F + Send + 'static,
    F: Future<Output = Result<Option<Look<T>>, Error>> + Send + 'static,
{
    let (live, turn) = (ctx.live().clone(), Arc::clone(ctx.data_unchecked::<Arc<Turn>>()));
    let (ear, asked) = (live.topics().listen(topic), turn.asked());
    turn.begin(None).await;
    let first = read().await.inspect_err(|_| turn.give_up())?;
    let following = Following {
        live,
        turn,
        ear,
        asked,
        read,
        first: Some(first),
        changes_at: None,
        told_at: Instant::now(),
        ended: false,
    };
    Ok(stream::unfold(following, |mut following| async move {
        following.next().await.map(|state| (state, following))
    })
    .boxed())
}

struct Following<T, R> {
    live: Live,
    turn: Arc<Turn>,
    ear: TopicListener,
    asked: AskedLooks,
    read: R,
    first: Option<Option<Look<T>>>,
    changes_at: Option<DateTime<Utc>>,
    told_at: Instant,
    ended: bool,
}

impl<T, R, F> Following<T, R>
where
    R: Fn() -> F,
    F: Future<Output = Result<Option<Look<T>>, Error>>,
{
    async fn next(&mut self) -> Option<Option<T>> {
        if self.ended {
            return None;
        }
        let look = match self.first.take() {
            Some(first) => first,
            None => self.changed().await,
        };
        self.told_at = Instant::now();
        self.ended = look.is_none();
        Some(look.map(|Look { value, changes_at }| {
            self.changes_at = changes_at;
            value
        }))
    }

    /// Waits until the thing may have changed, and reads it.
    async fn changed(&mut self) -> Option<Look<T>> {
        loop {
            tokio::select! {
                () = self.ear.changed() => {}
                () = self.asked.changed() => {}
                () = until_instant(self.live.db(), self.changes_at) => {}
            }
            sleep_until(self.told_at.checked_add(PACE).unwrap_or(self.told_at)).await;
            self.ear.mark_seen();
            self.asked.take();
            self.turn.begin(None).await;
            match (self.read)().await {
                Ok(look) => return look,
                // The error is logged already. The read is tried again, so the next state is not lost.
                Err(_shown_to_nobody) => {
                    self.turn.give_up();
                    self.changes_at = Some(self.live.db().now());
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
    }
}

/// Returns the earliest of the given instants that is in the future.
pub(crate) fn next_of(
    now: DateTime<Utc>,
    instants: impl IntoIterator<Item = DateTime<Utc>>,
) -> Option<DateTime<Utc>> {
    instants.into_iter().filter(|at| *at > now).min()
}

/// Returns a stream that sends `None` and completes, for a thing that does not exist or that the viewer may
/// not see.
pub(crate) fn nothing<T: Send + 'static>() -> States<T> {
    stream::once(async { None }).boxed()
}
