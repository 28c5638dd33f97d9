//! Subscriptions to drops and their stock.

use std::sync::Arc;

use async_graphql::{Context, Error, ID, Subscription};
use chrono::TimeDelta;
use domain::{
    catalog::Sight,
    drops::{self, queries, terms::CLOSING_SOON_HOURS},
    platform::{Currency, Db, ids::DropId},
};
use edge::live::{
    feed::{AskedLooks, LookNumber},
    runs::Turn,
};
use futures_util::{StreamExt, stream};

use super::{Drop, stock::DropStock};
use crate::{
    graphql::{
        context::{self, ContextExt},
        errors::Internal,
        follow::{Look, States, follow, next_of, nothing},
    },
    live::{
        Live,
        stock::StockWatch,
        topics::{Topic, TopicListener},
    },
};

async fn look_at_drop(db: Db, sight: Sight, id: DropId) -> Result<Option<Look<Drop>>, Error> {
    let row = queries::by_ids(&db, &sight, &[id]).await.internal()?.remove(&id);
    Ok(row.map(|row: drops::Drop| {
        let soon =
            row.closes_at.checked_sub_signed(TimeDelta::hours(CLOSING_SOON_HOURS)).unwrap_or(row.closes_at);
        Look { changes_at: next_of(db.now(), [row.opens_at, soon, row.closes_at]), value: Drop(row) }
    }))
}

/// Follows the stock of a drop. The stock is read once for all subscriptions that follow it.
struct FollowingStock {
    id: DropId,
    currency: Currency,
    live: Live,
    sight: Sight,
    turn: Arc<Turn>,
    asked: AskedLooks,
    /// The newest look that the next read answers.
    answers: LookNumber,
    ear: TopicListener,
    watch: StockWatch,
    ended: bool,
}

impl FollowingStock {
    async fn next(&mut self) -> Option<Option<DropStock>> {
        if self.ended {
            return None;
        }
        loop {
            tokio::select! {
                read = self.watch.next() => {
                    self.turn.begin(Some(self.answers)).await;
                    return Some(Some(DropStock { id: self.id, currency: self.currency, read }));
                }
                () = self.asked.changed() => {
                    self.answers = self.asked.take();
                    self.watch.look_again();
                }
                () = self.ear.changed() => if !self.is_seen().await {
                    self.ended = true;
                    return Some(None);
                },
            }
        }
    }

    /// Returns whether the viewer may still see the drop. If the database fails, the answer is yes.
    async fn is_seen(&self) -> bool {
        let seen = queries::by_ids(self.live.db(), &self.sight, &[self.id]).await.internal();
        seen.map_or(true, |seen| !seen.is_empty())
    }
}

/// The subscriptions of drops.
#[derive(Default)]
pub struct DropsSubscription;

#[Subscription]
impl DropsSubscription {
    /// Sends the drop now and after each change of its texts, terms, items or state. It also sends the drop
    /// when only time changes its `phase` or `closingSoon`. Reserved units do not cause a message: use
    /// `stockChanged` for those. Sends null and completes if there is no such drop, or the viewer may not or
    /// no longer see it.
    async fn drop_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the drop.")] id: ID,
    ) -> async_graphql::Result<States<Drop>> {
        let Ok(id) = context::id::<DropId>(&id) else { return Ok(nothing()) };
        let (db, sight) = (ctx.db().clone(), ctx.sight()?);
        follow(ctx, Topic::Drop(id), move || look_at_drop(db.clone(), sight.clone(), id)).await
    }

    /// Sends the stock of a drop now and whenever units are held, paid for or freed, at most
    /// {STATES_PER_SECOND} times a second. Several changes in a short time are sent as one state, and the
    /// last state is always sent. Sends null and completes if there is no such drop, or the viewer may not or
    /// no longer see it.
    async fn stock_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the drop.")] drop_id: ID,
    ) -> async_graphql::Result<States<DropStock>> {
        let Ok(drop) = context::id::<DropId>(&drop_id) else { return Ok(nothing()) };
        let (live, turn) = (ctx.live().clone(), Arc::clone(ctx.data_unchecked::<Arc<Turn>>()));
        let (ear, sight, mut asked) = (live.topics().listen(Topic::Drop(drop)), ctx.sight()?, turn.asked());
        let Some(row) = queries::by_ids(ctx.db(), &sight, &[drop]).await.internal()?.remove(&drop) else {
            return Ok(nothing());
        };
        let (answers, watch) = (asked.take(), live.watch_stock(drop));
        let following = FollowingStock {
            id: drop,
            currency: row.currency,
            live,
            sight,
            turn,
            asked,
            answers,
            ear,
            watch,
            ended: false,
        };
        Ok(stream::unfold(following, |mut following| async move {
            following.next().await.map(|state| (state, following))
        })
        .boxed())
    }
}
