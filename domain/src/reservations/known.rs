//! What a decision must know of its drops besides who asks, and what of it the next decision need not load
//! again.
//!
//! Whoever changes a drop, its items, their prices or a claim on them counts the gate's version up. Where the
//! gate says one more than after the last decision of this process, nobody was there in between: what that
//! decision knew, with what it gave out, is what the tables say. So a queue that is being worked off loads
//! nothing but the persons who ask. Where other processes or payments come in between, it loads how much is
//! taken, and the rest only if the drop's own version has changed as well. It is kept for a moment after the
//! last of a queue is answered (`desk.rs`).

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
    drops::{drop_row, gate::Gates, item_row},
    platform::{
        Country, StoreError,
        facts::Fact,
        ids::{DropId, DropItemId, LegalTextId},
    },
};

/// How long what no gate guards is used: tax, tariffs, the creators' and variants' terms, the current legal
/// texts.
const UNGUARDED_MAX: Duration = Duration::from_secs(1);

/// Drops as a decision found and left them.
pub(super) struct Known {
    /// Their gates, with the versions that this decision counted them to.
    gates: Gates,
    drops: Vec<drop_row::Model>,
    /// What lines of the drops cost.
    pub(super) book: PriceBook,
    /// What no gate guards.
    pub(super) unguarded: Unguarded,
    items: Vec<item_row::Model>,
    /// Units that are held, and when the first of an item's holds runs out.
    held: HashMap<DropItemId, (u32, DateTime<Utc>)>,
}

/// What a decision depends on that no gate guards: good for a moment, whoever was there in between.
pub(super) struct Unguarded {
    /// The legal texts that must be accepted.
    pub(super) accepted: Vec<LegalTextId>,
    conditions: Arc<Conditions>,
    destinations: BTreeSet<Country>,
    loaded: Instant,
}

impl Unguarded {
    /// Five statements.
    async fn load(
        conn: &impl ConnectionTrait,
        items: &[item_row::Model],
        destinations: &BTreeSet<Country>,
    ) -> Result<Self, DbErr> {
        let loaded = Instant::now();
        let accepted = legal::current_ids(conn).await?;
        let conditions = Arc::new(Conditions::load(conn, items, destinations).await?);
        Ok(Self { accepted, conditions, destinations: destinations.clone(), loaded })
    }

    /// Whether they are good for another decision, for these destinations.
    fn is_good(&self, destinations: &BTreeSet<Country>) -> bool {
        self.loaded.elapsed() < UNGUARDED_MAX && destinations.is_subset(&self.destinations)
    }
}

impl Known {
    /// What is known under these gates: what is left of the last decision, as far as it still holds, and the
    /// rest loaded by up to ten statements.
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
        let unguarded = match unguarded.filter(|unguarded| unguarded.conditions.serve(&items)) {
            Some(unguarded) => unguarded,
            None => Unguarded::load(conn, &items, destinations).await?,
        };
        let book = PriceBook::load(conn, &drops, &items, Arc::clone(&unguarded.conditions)).await?;
        let held = reservation_row::held_units(conn, &ids, now).await?;
        let held = held.into_iter().map(|(_, item, units, until)| (item, (units.get(), until))).collect();
        Ok(Self { gates, drops, book, unguarded, items, held })
    }

    /// Whether nobody was there between the decision that left this and the one that has taken these gates,
    /// and nothing has run out.
    fn is_next(&self, gates: &Gates, now: DateTime<Utc>) -> bool {
        gates.follow(&self.gates) && self.held.values().all(|(_, until)| *until > now)
    }

    /// Brings what is taken up to date: one statement. `false` when something else has changed too.
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

    /// The drops whose gates were taken.
    pub(super) fn drops(&self) -> Vec<DropId> {
        self.gates.drops()
    }

    /// The stock, without persons.
    pub(super) fn stock(&self) -> Stock {
        let held = self.held.iter().map(|(item, (units, _))| (*item, *units));
        load::stock_with(&self.drops, &self.items, held)
    }

    pub(super) fn items(&self) -> impl Iterator<Item = DropItemId> + '_ {
        self.items.iter().map(|row| row.id)
    }

    /// That units of the drops became taken, each with its gate's version.
    pub(super) fn stock_changes(&self) -> impl Iterator<Item = (i64, Fact)> + '_ {
        self.gates.versions().iter().filter_map(|(id, version)| {
            let drop = self.drops.iter().find(|drop| drop.id == *id)?;
            Some((*version, Fact::StockChanged { creator: drop.creator_id, drop: drop.id }))
        })
    }

    /// Whether something was held of all of them before.
    pub(super) fn is_frozen(&self) -> bool {
        self.drops.iter().all(|drop| drop.first_held_at.is_some())
    }

    /// Notes what was given out: lines of quotes, each until then.
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

    /// Notes that nothing was written, and the gates count as before.
    pub(super) fn rolled_back(self) -> Self {
        Self { gates: self.gates.rolled_back(), ..self }
    }
}
