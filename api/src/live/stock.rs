//! The stock of a drop, read once for all its watchers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    drops::{Drop, DropItem, queries},
    platform::ids::{DropId, DropItemId},
    reservations::claims::ItemStockView,
};
use edge::live::feed::{Feed, Watcher};
use sea_orm::DbErr;
use tokio::time::{Instant, sleep_until};

use super::{AGAIN_AFTER, Live, PACE, locked, topics::Topic, until_instant};

/// The items of a drop with their held units.
#[derive(Debug, PartialEq)]
pub(crate) struct StockView {
    pub(crate) items: Vec<DropItem>,
    pub(crate) held: Vec<(DropItemId, ItemStockView)>,
}

/// A stock, and the time when it was first read in this state.
#[derive(Debug, Clone)]
pub(crate) struct StockRead {
    pub(crate) view: Arc<StockView>,
    pub(crate) as_of: DateTime<Utc>,
}

/// Compares the stock only. An unchanged stock is not sent again, so `as_of` remains the time when it was
/// first read.
impl PartialEq for StockRead {
    fn eq(&self, other: &Self) -> bool {
        self.view == other.view
    }
}

/// How long a cached stock is used.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// The number of cached drops.
const KEPT: u64 = 10_000;

/// A cache of recently read stock. A drop is read at most once a second, for any number of callers.
pub(crate) struct StockCache(moka::future::Cache<DropId, Arc<KnownStock>>);

/// A drop and its stock at the same instant.
#[derive(Debug)]
pub(crate) struct KnownStock {
    pub(crate) drop: Drop,
    pub(crate) read: StockRead,
}

/// Why no stock could be cached. All callers that wait for the same read get the same error.
#[derive(Debug)]
enum NoStock {
    NoDrop,
    Db(Arc<DbErr>),
}

impl From<DbErr> for NoStock {
    fn from(error: DbErr) -> Self {
        Self::Db(Arc::new(error))
    }
}

impl Default for StockCache {
    fn default() -> Self {
        Self(moka::future::Cache::builder().max_capacity(KEPT).time_to_live(GOOD_FOR).build())
    }
}

impl StockCache {
    /// Returns the stock of a drop, at most one second old, without checking who may see it; `None` when
    /// there is no such drop. Concurrent callers share one read.
    pub(crate) async fn get(&self, live: &Live, id: DropId) -> Result<Option<Arc<KnownStock>>, Arc<DbErr>> {
        let known = self.0.try_get_with(id, async {
            let as_of = live.db().now();
            let drop = queries::referred(live.db(), &[id]).await?.remove(&id);
            let drop = drop.ok_or(NoStock::NoDrop)?;
            let view = Arc::new(read(live, id).await?);
            Ok::<_, NoStock>(Arc::new(KnownStock { drop, read: StockRead { view, as_of } }))
        });
        match known.await {
            Ok(known) => Ok(Some(known)),
            Err(error) => match &*error {
                NoStock::NoDrop => Ok(None),
                NoStock::Db(error) => Err(Arc::clone(error)),
            },
        }
    }
}

/// The feeds of the drops whose stock is watched.
#[derive(Default)]
pub(crate) struct StockFeeds(Mutex<HashMap<DropId, Arc<Feed<StockRead>>>>);

/// A watcher of the stock of a drop.
pub(crate) struct StockWatch(Watcher<StockRead>);

impl StockWatch {
    /// Returns the current stock first, and then each changed one.
    pub(crate) async fn next(&mut self) -> StockRead {
        match self.0.next().await {
            Some(read) => read,
            // The feed ends with the process.
            None => std::future::pending().await,
        }
    }

    /// Requests another read: the next stock is read after this call, changed or not.
    pub(crate) fn look_again(&mut self) {
        self.0.look_again();
    }
}

impl Live {
    /// Returns the stock of a drop, at most one second old, without checking who may see it.
    pub(crate) async fn stock_lately(&self, drop: DropId) -> Result<Option<Arc<KnownStock>>, Arc<DbErr>> {
        self.0.stock_cache.get(self, drop).await
    }

    /// Watches the stock of a drop, without checking who may see it.
    pub(crate) fn watch_stock(&self, drop: DropId) -> StockWatch {
        let mut feeds = locked(&self.0.stock.0);
        let feed = feeds.entry(drop).or_insert_with(|| {
            let feed = Arc::new(Feed::new());
            self.0.runtime.spawn(run(self.clone(), drop, Arc::clone(&feed)));
            feed
        });
        StockWatch(feed.watch())
    }

    /// Removes a feed that nobody watches; `false` when a watcher has joined meanwhile.
    fn end_stock(&self, drop: DropId, feed: &Feed<StockRead>) -> bool {
        let mut feeds = locked(&self.0.stock.0);
        let is_left = !feed.is_watched();
        if is_left {
            feeds.remove(&drop);
        }
        is_left
    }
}

/// Reads the stock of a drop whenever it may have changed, for as long as it is watched.
async fn run(live: Live, drop: DropId, feed: Arc<Feed<StockRead>>) {
    let mut ear = live.topics().listen(Topic::Stock(drop));
    let mut asked = feed.looks().asked();
    loop {
        ear.mark_seen();
        let answers = asked.take();
        let began = Instant::now();
        let (again_at, no_sooner) = match read(&live, drop).await {
            Ok(view) => {
                let again_at = view.held.iter().filter_map(|(_, held)| held.next_hold_ends_at).min();
                feed.tell(StockRead { view: Arc::new(view), as_of: live.db().now() }, answers);
                (again_at, PACE)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read the stock of a watched drop; retrying");
                (Some(live.db().now()), AGAIN_AFTER)
            }
        };
        tokio::select! {
            () = live.stopping().cancelled() => return,
            () = feed.unwatched() => if live.end_stock(drop, &feed) {
                return;
            },
            () = ear.changed() => {}
            () = asked.changed() => {}
            () = until_instant(live.db(), again_at) => {}
        }
        sleep_until(began.checked_add(no_sooner).unwrap_or(began)).await;
    }
}

async fn read(live: &Live, drop: DropId) -> Result<StockView, DbErr> {
    let items = queries::items_of(live.db(), &[drop]).await?.remove(&drop).unwrap_or_default();
    let mut held = live.held(&[drop]).await?.remove(&drop).unwrap_or_default();
    held.sort_unstable_by_key(|(item, _)| *item);
    Ok(StockView { items, held })
}
