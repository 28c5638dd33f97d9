//! Subscriptions: the present state first, then each new one.
//!
//! A subscription listens before it reads, so that no change falls between the two. What it answers is the state of the thing and
//! not the change: of many changes in a short time only what came of them is told, the last always.

use std::{future::Future, sync::Arc};

use async_graphql::{Context, Error, ID, Object, Subscription};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    catalog::Sight,
    drops::{self, queries, terms::CLOSING_SOON_HOURS},
    platform::{
        Currency, Db,
        access::{Buy, Manage, Permission, Viewer, authorize},
        ids::{CreatorId, DropId, ReservationId},
    },
    reservations::{self, queries as checkouts, state::ReservationState},
};
use edge::live::{
    feed::{AskedLooks, LookNumber},
    runs::Turn,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    context::{Reach, id},
    drops::{Drop, DropItem, ReferredDrop, stock},
    errors::{Internal, denied},
    reservations::{Checkout, Reservation},
};
use crate::live::{
    AGAIN_AFTER, Live, PACE,
    stock::{StockRead, StockWatch},
    topics::{Ear, Topic},
    until_instant,
};

/// A state, and when time alone will change it.
struct Look<T> {
    value: T,
    changes_at: Option<DateTime<Utc>>,
}

/// The states of something, as they come.
type States<T> = BoxStream<'static, Option<T>>;

/// Follows something by a topic. `read` is called after listening began, and again each time that it may have changed; nothing
/// more is told after there was nothing to see.
async fn follow<T, R, F>(ctx: &Context<'_>, topic: Topic, read: R) -> async_graphql::Result<States<T>>
where
    T: Send + 'static,
    R: Fn() -> F + Send + 'static,
    F: Future<Output = Result<Option<Look<T>>, Error>> + Send + 'static,
{
    let (live, turn) = (ctx.live().clone(), Arc::clone(ctx.data_unchecked::<Arc<Turn>>()));
    let (ear, asked) = (live.topics().listen(topic), turn.asked());
    turn.begin(None).await;
    let first = read().await.inspect_err(|_| turn.give_up())?;
    let following =
        Following { live, turn, ear, asked, read, first: Some(first), changes_at: None, told_at: Instant::now(), ended: false };
    Ok(stream::unfold(following, |mut following| async move { following.next().await.map(|state| (state, following)) }).boxed())
}

struct Following<T, R> {
    live: Live,
    turn: Arc<Turn>,
    ear: Ear,
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

    /// Waits until it may have changed, and reads it.
    async fn changed(&mut self) -> Option<Look<T>> {
        loop {
            tokio::select! {
                () = self.ear.changed() => {}
                () = self.asked.changed() => {}
                () = until_instant(self.live.db(), self.changes_at) => {}
            }
            sleep_until(self.told_at.checked_add(PACE).unwrap_or(self.told_at)).await;
            self.ear.take_note();
            self.asked.take();
            self.turn.begin(None).await;
            match (self.read)().await {
                Ok(look) => return look,
                // It is logged. The last state was told, and the next one will be.
                Err(_shown_to_nobody) => {
                    self.turn.give_up();
                    self.changes_at = Some(self.live.db().now());
                    sleep(AGAIN_AFTER).await;
                }
            }
        }
    }
}

/// The first of some instants that is still to come.
fn next_of(now: DateTime<Utc>, instants: impl IntoIterator<Item = DateTime<Utc>>) -> Option<DateTime<Utc>> {
    instants.into_iter().filter(|at| *at > now).min()
}

async fn look_at_drop(db: Db, sight: Sight, id: DropId) -> Result<Option<Look<Drop>>, Error> {
    let row = queries::by_ids(&db, &sight, &[id]).await.internal()?.remove(&id);
    Ok(row.map(|row: drops::Drop| {
        let soon = row.closes_at.checked_sub_signed(TimeDelta::hours(CLOSING_SOON_HOURS)).unwrap_or(row.closes_at);
        Look { changes_at: next_of(db.now(), [row.opens_at, soon, row.closes_at]), value: Drop(row) }
    }))
}

/// The stock of a drop's items at one instant. Only reserving binds.
#[derive(Clone)]
pub struct DropStock {
    id: DropId,
    currency: Currency,
    read: StockRead,
}

/// What is asked of the stock.
#[derive(Default)]
pub struct StockQuery;

/// What is asked of the stock.
#[Object]
impl StockQuery {
    /// The stock of a drop, one second old at most: `asOf` says when it was read. It is read once a second for all who ask, however
    /// many they are, so that pages may ask for it alone. Null when there is no such drop that the viewer may see.
    async fn drop_stock(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which drop.")] drop_id: ID,
    ) -> async_graphql::Result<Option<DropStock>> {
        let Ok(id) = id::<DropId>(&drop_id) else { return Ok(None) };
        let known = ctx.live().stock_lately(id).await.internal()?;
        let seen = known.filter(|known| ctx.sight().is_ok_and(|sight| queries::is_seen(&sight, &known.drop)));
        Ok(seen.map(|known| DropStock { id, currency: known.drop.currency, read: known.read.clone() }))
    }
}

/// The stock of a drop's items at one instant. Only reserving binds.
#[Object]
impl DropStock {
    /// The drop.
    async fn drop(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Drop>> {
        Ok(ctx.loader().load_one(ReferredDrop(self.id)).await.internal()?.map(Drop))
    }
    /// Whether no unit of any item can be reserved now because all are held or paid for.
    async fn sold_out(&self) -> bool {
        let StockRead { view, as_of, .. } = &self.read;
        !view.items.is_empty() && view.items.iter().all(|item| stock(item, &view.held, *as_of).free == 0)
    }
    /// The items, in the creator's order; at most 100. Ask for `id` and `stock`: a cache that knows things by their ids then
    /// brings every place up to date that shows one of them.
    async fn items(&self) -> Vec<DropItem> {
        let StockRead { view, as_of, .. } = &self.read;
        let item = |row: &drops::DropItem| DropItem {
            stock: Some(stock(row, &view.held, *as_of)),
            ..DropItem::new(row.clone(), self.currency)
        };
        view.items.iter().map(item).collect()
    }
    /// When it was first read so: it holds until the next one is told.
    async fn as_of(&self) -> DateTime<Utc> {
        self.read.as_of
    }
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

/// A line of the viewer's own checkout, or one that was reserved with a creator for whom the viewer may read reservations.
async fn seen_reservation(db: &Db, viewer: &Viewer, id: ReservationId) -> Result<Option<reservations::Reservation>, Error> {
    let buyer = authorize(viewer, Buy);
    if let Ok(scope) = &buyer
        && let Some(own) = checkouts::own_reservations(db, scope, &[id]).await.internal()?.remove(&id)
    {
        return Ok(Some(own));
    }
    let creators: Vec<CreatorId> = match viewer {
        Viewer::Account(account) => account.memberships.iter().map(|(creator, _)| *creator).collect(),
        Viewer::Token(token) => token.creator.into_iter().collect(),
        Viewer::Public | Viewer::Guest(..) => Vec::new(),
    };
    let permission = Permission::ReservationsRead;
    let scopes = creators.into_iter().filter_map(|creator| authorize(viewer, Manage { creator, permission }).ok());
    let mut may_see_some = buyer.is_ok();
    for scope in scopes {
        may_see_some = true;
        if let Some(line) = checkouts::reservation(db, &scope, id).await.internal()? {
            return Ok(Some(line));
        }
    }
    match buyer {
        Err(why) if !may_see_some => Err(denied(why)),
        Ok(_) | Err(_) => Ok(None),
    }
}

/// An empty stream but for one null: there is no such thing, or it is not the viewer's to see.
fn nothing<T: Send + 'static>() -> States<T> {
    stream::once(async { None }).boxed()
}

/// What can be watched as it changes.
#[derive(Default)]
pub struct LiveSubscription;

/// What can be watched as it changes.
#[Subscription(name = "Subscription")]
impl LiveSubscription {
    /// A drop: now, and each time that it changes: its texts, terms, items or state, and when time alone moves its phase or makes it
    /// close soon. Not for each unit that is taken: that is `stockChanged`. Null, and the end, when there is no such drop, or no
    /// longer, that the viewer may see.
    async fn drop_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which drop.")] id: ID,
    ) -> async_graphql::Result<BoxStream<'static, Option<Drop>>> {
        let Ok(id) = super::context::id::<DropId>(&id) else { return Ok(nothing()) };
        let (db, sight) = (ctx.db().clone(), ctx.sight()?);
        follow(ctx, Topic::Drop(id), move || look_at_drop(db.clone(), sight.clone(), id)).await
    }

    /// The stock of a drop: now, and each time that units are held, paid for or free again, at most ten times a second. What comes of
    /// many changes is told once; the last state is always told. Null, and the end, when there is no such drop, or no longer, that
    /// the viewer may see.
    async fn stock_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which drop.")] drop_id: ID,
    ) -> async_graphql::Result<BoxStream<'static, Option<DropStock>>> {
        let Ok(drop) = id::<DropId>(&drop_id) else { return Ok(nothing()) };
        let (live, turn) = (ctx.live().clone(), Arc::clone(ctx.data_unchecked::<Arc<Turn>>()));
        let (ear, sight, mut asked) = (live.topics().listen(Topic::Drop(drop)), ctx.sight()?, turn.asked());
        let Some(row) = queries::by_ids(ctx.db(), &sight, &[drop]).await.internal()?.remove(&drop) else { return Ok(nothing()) };
        let (answers, watch) = (asked.take(), live.watch_stock(drop));
        let following =
            FollowingStock { id: drop, currency: row.currency, live, sight, turn, asked, answers, ear, watch, ended: false };
        Ok(stream::unfold(following, |mut following| async move { following.next().await.map(|state| (state, following)) }).boxed())
    }

    /// One reservation: now, and each time that it or its checkout changes. For its buyer, and for the members of its creator and
    /// their tokens with `reservations:read`. Null, and the end, when there is none of that id that the viewer may see.
    async fn reservation_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which reservation.")] id: ID,
    ) -> async_graphql::Result<BoxStream<'static, Option<Reservation>>> {
        let id = super::context::id::<ReservationId>(&id);
        let (db, viewer) = (ctx.db().clone(), ctx.viewer().clone());
        // Of whichever id: who may see none is told so.
        let line = seen_reservation(&db, &viewer, id.unwrap_or(ReservationId(uuid::Uuid::nil()))).await?;
        let Some(line) = line else { return Ok(nothing()) };
        // Which checkout it is of never changes.
        let (topic, id) = (Topic::Checkout(line.checkout_id), line.id);
        follow(ctx, topic, move || {
            let (db, viewer) = (db.clone(), viewer.clone());
            async move {
                let row = seen_reservation(&db, &viewer, id).await?;
                Ok(row.map(|row| Look { changes_at: next_of(db.now(), held_until(&row)), value: Reservation(row) }))
            }
        })
        .await
    }

    /// One of the viewer's own checkouts: now, and each time that its lines, its deadline or its payment change, and when its hold
    /// runs out. Null, and the end, when there is none of that id.
    async fn checkout_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which checkout.")] id: ID,
    ) -> async_graphql::Result<BoxStream<'static, Option<Checkout>>> {
        let scope = ctx.scope(Buy)?;
        let Ok(id) = super::context::id(&id) else { return Ok(nothing()) };
        let db = ctx.db().clone();
        follow(ctx, Topic::Checkout(id), move || {
            let db = db.clone();
            async move {
                let row = checkouts::checkout(&db, &scope, id).await.internal()?;
                Ok(row.map(|row| Look { changes_at: next_of(db.now(), [row.expires_at]), value: Checkout::from(row) }))
            }
        })
        .await
    }
}

fn held_until(row: &reservations::Reservation) -> Option<DateTime<Utc>> {
    (row.state == ReservationState::Held).then_some(row.expires_at)
}
