//! A cache of what a decision loads about its drops, so that the next decision need not load it again.
//!
//! Every change of a drop, its items, their prices or a claim on them increments the gate's version. If the
//! version is one more than after this process's last decision, nothing changed in between, and the cached
//! state plus what that decision granted is still true. A busy queue therefore loads only the persons who
//! made the requests. If other processes or payments took the gate in between, only the taken units are
//! loaded, and the rest only if the drop's own version has changed too. The cache is kept for a moment after
//! the last request of a queue is answered (see `desk.rs`).

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use super::{
    claims,
    decide::Stock,
    legal,
    lines::{Conditions, PriceBook},
    load,
    quote::Quote,
    reservation_row,
};
use crate::{
    drops::{drop_row, gate::Gates, item_row, offered_place::PlacesByDrop},
    platform::{
        Country, StoreError,
        facts::Fact,
        ids::{DropId, DropItemId, LegalTextId},
    },
};

/// How long cached data is used that no gate guards: tax rates, tariffs, the terms of creators and variants,
/// and the current legal texts.
const UNGUARDED_MAX: Duration = Duration::from_secs(1);

/// The state of drops as a decision left it.
pub(super) struct DecisionCache {
    /// The gates, with the versions after this decision.
    gates: Gates,
    drops: Vec<drop_row::Model>,
    /// The prices of the drops' items.
    pub(super) book: PriceBook,
    /// The data that no gate guards.
    pub(super) unguarded: Unguarded,
    items: Vec<item_row::Model>,
    /// The held units of each item, and when the first of the item's holds expires.
    held: HashMap<DropItemId, (u32, DateTime<Utc>)>,
}

/// The data that a decision depends on and that no gate guards. It may be used for [`UNGUARDED_MAX`],
/// whatever else took the gates in between.
pub(super) struct Unguarded {
    /// The legal texts that must be accepted.
    pub(super) accepted: Vec<LegalTextId>,
    conditions: Arc<Conditions>,
    destinations: BTreeSet<Country>,
    loaded: Instant,
}

impl Unguarded {
    /// Loads the data with five statements.
    async fn load(
        conn: &impl ConnectionTrait,
        items: &[item_row::Model],
        places: &PlacesByDrop,
        destinations: &BTreeSet<Country>,
    ) -> Result<Self, DbErr> {
        let loaded = Instant::now();
        let accepted = legal::current_ids(conn).await?;
        let conditions = Arc::new(Conditions::load(conn, items, places, destinations).await?);
        Ok(Self { accepted, conditions, destinations: destinations.clone(), loaded })
    }

    /// Whether the data may be used for another decision with these destinations.
    fn is_good(&self, destinations: &BTreeSet<Country>) -> bool {
        self.loaded.elapsed() < UNGUARDED_MAX && destinations.is_subset(&self.destinations)
    }
}

impl DecisionCache {
    /// Returns the state under these gates. Reuses what is still valid of the last decision's state and loads
    /// the rest with up to eleven statements.
    pub(super) async fn of(
        conn: &impl ConnectionTrait,
        gates: Gates,
        destinations: &BTreeSet<Country>,
        now: DateTime<Utc>,
        before: Option<Self>,
    ) -> Result<Self, StoreError> {
        let before = before.filter(|before| before.unguarded.is_good(destinations));
        let unguarded = match before {
            Some(before) if before.is_next(&gates, now) => return Ok(Self { gates, ..before }),
            Some(mut before) => {
                if before.catch_up(conn, now).await? {
                    return Ok(Self { gates, ..before });
                }
                Some(before.unguarded)
            }
            None => None,
        };
        let ids = gates.drops();
        let drops = drop_row::by_ids(conn, &ids).await?;
        let items = item_row::of_drops(conn, &ids).await?;
        let places = load::places_of(conn, &drops).await?;
        let unguarded = match unguarded.filter(|unguarded| unguarded.conditions.serve(&items, &places)) {
            Some(unguarded) => unguarded,
            None => Unguarded::load(conn, &items, &places, destinations).await?,
        };
        let conditions = Arc::clone(&unguarded.conditions);
        let book = PriceBook::load(conn, &drops, &items, &places, conditions).await?;
        let held = reservation_row::held_units(conn, &ids, now).await?;
        let held = held.into_iter().map(|(_, item, units, until)| (item, (units.get(), until))).collect();
        Ok(Self { gates, drops, book, unguarded, items, held })
    }

    /// Whether nobody took the gates between the decision that left this state and the one that holds these
    /// gates, and no hold has expired.
    fn is_next(&self, gates: &Gates, now: DateTime<Utc>) -> bool {
        gates.follow(&self.gates) && self.held.values().all(|(_, until)| *until > now)
    }

    /// Updates the taken units, in one statement. Returns `false` if something else has changed too.
    async fn catch_up(&mut self, conn: &impl ConnectionTrait, now: DateTime<Utc>) -> Result<bool, DbErr> {
        let ids: Vec<DropId> = self.drops.iter().map(|drop| drop.id).collect();
        let taken = claims::taken(conn, &ids, now).await?;
        self.held.clear();
        let mut seen = 0_usize;
        for taken in taken {
            let drop =
                self.drops.iter_mut().find(|drop| drop.id == taken.drop_id && drop.version == taken.version);
            let item = self.items.iter_mut().find(|item| item.id == taken.id);
            let (Some(drop), Some(item)) = (drop, item) else { return Ok(false) };
            drop.first_held_at = taken.first_held_at;
            item.confirmed_units = taken.confirmed_units;
            if let Some((held, next)) = taken.held.zip(taken.next) {
                self.held.insert(taken.id, (held.0.get(), next));
            }
            seen = seen.saturating_add(1);
        }
        Ok(seen == self.items.len())
    }

    /// Returns the drops whose gates are held.
    pub(super) fn drops(&self) -> Vec<DropId> {
        self.gates.drops()
    }

    /// Returns the stock, without the claims of persons.
    pub(super) fn stock(&self) -> Stock {
        let held = self.held.iter().map(|(item, (units, _))| (*item, *units));
        load::stock_with(&self.drops, &self.items, held)
    }

    pub(super) fn items(&self) -> impl Iterator<Item = DropItemId> + '_ {
        self.items.iter().map(|row| row.id)
    }

    /// Returns the facts that the drops' stock changed, each with its gate's version.
    pub(super) fn stock_changes(&self) -> impl Iterator<Item = (i64, Fact)> + '_ {
        self.gates.versions().iter().filter_map(|(id, version)| {
            let drop = self.drops.iter().find(|drop| drop.id == *id)?;
            Some((*version, Fact::StockChanged { creator: drop.creator_id, drop: drop.id }))
        })
    }

    /// Whether each drop had a hold before, so that all of them are frozen.
    pub(super) fn is_frozen(&self) -> bool {
        self.drops.iter().all(|drop| drop.first_held_at.is_some())
    }

    /// Records what was granted: the lines of quotes, each with the time at which its hold expires.
    pub(super) fn given<'q>(
        &mut self,
        quotes: impl IntoIterator<Item = (&'q Quote, DateTime<Utc>)>,
        at: DateTime<Utc>,
    ) {
        for (quote, until) in quotes {
            for line in &quote.lines {
                let (held, first) = self.held.entry(line.item).or_insert((0, until));
                *held = held.saturating_add(line.units.get());
                *first = until.min(*first);
            }
            for drop in &mut self.drops {
                drop.first_held_at.get_or_insert(at);
            }
        }
    }

    /// Returns the state after a rollback, in which the gates have their old versions.
    pub(super) fn rolled_back(self) -> Self {
        Self { gates: self.gates.rolled_back(), ..self }
    }
}
