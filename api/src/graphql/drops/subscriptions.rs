//! Drops and their stock, as they change.

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
        context::{self, Reach},
        errors::Internal,
        follow::{Look, States, follow, next_of, nothing},
    },
    live::{
        Live,
        stock::StockWatch,
        topics::{Ear, Topic},
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

/// Follows the stock of a drop, which is read once for all who do.
struct FollowingStock {
    id: DropId,
    currency: Currency,
    live: Live,
    sight: Sight,
    turn: Arc<Turn>,
    asked: AskedLooks,
    /// The newest look that what is read next answers.
    answers: LookNumber,
    ear: Ear,
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

    /// Whether the viewer still sees the drop; a failure of the database takes nothing from anybody's sight.
    async fn is_seen(&self) -> bool {
        let seen = queries::by_ids(self.live.db(), &self.sight, &[self.id]).await.internal();
        seen.map_or(true, |seen| !seen.is_empty())
    }
}

/// What can be watched of drops.
#[derive(Default)]
pub struct DropsSubscription;

#[Subscription]
impl DropsSubscription {
    /// A drop: now, and each time that it changes: its texts, terms, items or state, and when time alone
    /// moves its phase or makes it close soon. Not for each unit that is taken: that is `stockChanged`. Null,
    /// and the end, when there is no such drop, or no longer, that the viewer may see.
    async fn drop_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] id: ID,
    ) -> async_graphql::Result<States<Drop>> {
        let Ok(id) = context::id::<DropId>(&id) else { return Ok(nothing()) };
        let (db, sight) = (ctx.db().clone(), ctx.sight()?);
        follow(ctx, Topic::Drop(id), move || look_at_drop(db.clone(), sight.clone(), id)).await
    }

    /// The stock of a drop: now, and each time that units are held, paid for or free again, at most ten times
    /// a second. What comes of many changes is told once; the last state is always told. Null, and the end,
    /// when there is no such drop, or no longer, that the viewer may see.
    async fn stock_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which drop.")] drop_id: ID,
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
