//! How many units of drops are held, added up once for each state of a drop, whoever asks.
//!
//! Adding up reads every hold of a drop: thousands, in the minutes in which thousands look at its page.
//! Whatever changes a hold counts the version of the drop's gate up, so a sum that was made at the present
//! version is still right, until a hold runs out.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{
    drops::queries,
    platform::{
        Db,
        ids::{DropId, DropItemId},
    },
    reservations::claims::{ItemStockView, held_by_drop},
};
use moka::future::Cache;
use sea_orm::DbErr;

/// Of how many drops the sums are kept.
const KEPT: u64 = 10_000;

/// What is held of the items of a drop.
pub(crate) type HeldItems = Vec<(DropItemId, ItemStockView)>;

/// Sums by drop and version.
pub(crate) struct HeldUnits(Cache<(DropId, i64), Arc<Sum>>);

struct Sum {
    held: HeldItems,
    /// When the first of the holds runs out.
    until: Option<DateTime<Utc>>,
}

impl Sum {
    fn of(held: HeldItems) -> Arc<Self> {
        let until = held.iter().filter_map(|(_, view)| view.next_hold_ends_at).min();
        Arc::new(Self { held, until })
    }

    fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

impl Default for HeldUnits {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT).build())
    }
}

impl HeldUnits {
    /// Held units of the items of drops, as of now: two statements at most, however many drops there are.
    /// Where many ask about one drop that has just changed, one of them adds up.
    pub(crate) async fn of(&self, db: &Db, drops: &[DropId]) -> Result<HashMap<DropId, HeldItems>, DbErr> {
        // Before the sums: they are at least as new as the version that they are kept under.
        let versions = queries::stock_versions(db, drops).await?;
        let now = db.now();
        let (mut held, mut missing) = (HashMap::with_capacity(versions.len()), Vec::new());
        for key in versions {
            match self.0.get(&key).await {
                Some(sum) if sum.holds_at(now) => {
                    held.insert(key.0, sum.held.clone());
                    continue;
                }
                Some(_) => self.0.invalidate(&key).await,
                None => {}
            }
            missing.push(key);
        }
        match *missing.as_slice() {
            [] => {}
            [key] => {
                let sum = self.0.try_get_with(key, async {
                    Ok(Sum::of(add_up(db, &[key.0]).await?.remove(&key.0).unwrap_or_default()))
                });
                held.insert(key.0, sum.await.map_err(|error: Arc<DbErr>| (*error).clone())?.held.clone());
            }
            _ => {
                let ids: Vec<DropId> = missing.iter().map(|(drop, _)| *drop).collect();
                let mut sums = add_up(db, &ids).await?;
                for key in missing {
                    let sum = Sum::of(sums.remove(&key.0).unwrap_or_default());
                    held.insert(key.0, sum.held.clone());
                    self.0.insert(key, sum).await;
                }
            }
        }
        Ok(held)
    }
}

async fn add_up(db: &Db, drops: &[DropId]) -> Result<HashMap<DropId, HeldItems>, DbErr> {
    held_by_drop(db, drops).await
}
