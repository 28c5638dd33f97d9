//! The held units of drops, added up once for each version of a drop's gate, whoever asks.
//!
//! Adding up reads every hold of a drop: thousands, at the time when thousands of visitors look at its page.
//! Every change of a hold increments the version of the drop's gate. So a sum computed at the current version
//! is valid until the first hold expires.

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

/// The number of cached sums.
const KEPT: u64 = 10_000;

/// The held units of a drop's items.
pub(crate) type HeldItems = Vec<(DropItemId, ItemStockView)>;

/// Sums by drop and version.
pub(crate) struct HeldUnits(Cache<(DropId, i64), Arc<Sum>>);

struct Sum {
    held: HeldItems,
    /// When the first of the holds expires.
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
    /// Returns the held units of the items of drops as of now, with at most two statements for any number of
    /// drops. When several callers ask about the same changed drop, one of them adds up for all.
    pub(crate) async fn of(&self, db: &Db, drops: &[DropId]) -> Result<HashMap<DropId, HeldItems>, DbErr> {
        // Read before the sums, so that a sum is at least as new as the version it is cached under.
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
