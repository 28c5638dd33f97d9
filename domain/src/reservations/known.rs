//! What a decision must know of its drops besides who asks, and what of it the next decision need not load again.
//!
//! Whoever changes a drop, its items, their prices or a claim on them counts the gate's version up. Where the gate says one more
//! than after the last decision of this process, nobody was there in between: what that decision knew, with what it gave out, is
//! what the tables say. So a queue that is being worked off loads nothing but the persons who ask; where other processes or
//! payments come in between, it loads anew.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr};

use super::{decide::Stock, legal, lines::PriceBook, load, quote::Quote, reservation_row};
use crate::{
    drops::{drop_row, item_row},
    platform::{
        facts::Fact,
        ids::{DropId, DropItemId, LegalTextId},
    },
};

/// How long what no gate guards is used: tax, tariffs, the creators' and variants' terms, the current legal texts.
const UNGUARDED_MAX: Duration = Duration::from_secs(1);

/// Drops as a decision found and left them.
pub(super) struct Known {
    /// Their gates' versions.
    gates: Vec<(DropId, i64)>,
    drops: Vec<drop_row::Model>,
    /// What lines of the drops cost.
    pub(super) book: PriceBook,
    /// The legal texts that must be accepted.
    pub(super) accepted: Vec<LegalTextId>,
    items: Vec<item_row::Model>,
    /// Units that are held, and when the first of an item's holds runs out.
    held: HashMap<DropItemId, (u32, DateTime<Utc>)>,
    destinations: BTreeSet<String>,
    loaded: Instant,
}

impl Known {
    /// Loads it under the gates: nine statements.
    pub(super) async fn load(
        conn: &impl ConnectionTrait,
        gates: Vec<(DropId, i64)>,
        destinations: &BTreeSet<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, DbErr> {
        let loaded = Instant::now();
        let ids: Vec<DropId> = gates.iter().map(|(drop, _)| *drop).collect();
        let accepted = legal::current_ids(conn).await?;
        let drops = drop_row::by_ids(conn, &ids).await?;
        let items = item_row::of_drops(conn, &ids).await?;
        let book = PriceBook::load(conn, &drops, &items, destinations).await?;
        let held = reservation_row::held_units(conn, &ids, now).await?;
        let held = held.into_iter().map(|(_, item, units, until)| (item, (units, until))).collect();
        let destinations = destinations.iter().map(|country| (*country).to_owned()).collect();
        Ok(Self { gates, drops, book, accepted, items, held, destinations, loaded })
    }

    /// The same for the next decision, whose gates these are; `None` when it must be loaded anew.
    pub(super) fn still(self, gates: &[(DropId, i64)], destinations: &BTreeSet<&str>, now: DateTime<Utc>) -> Option<Self> {
        let next = self.gates.iter().map(|(drop, version)| (*drop, version.saturating_add(1)));
        let alone = next.eq(gates.iter().copied());
        let complete = destinations.iter().all(|country| self.destinations.contains(*country));
        let none_ran_out = self.held.values().all(|(_, until)| *until > now);
        let current = alone && complete && none_ran_out && self.loaded.elapsed() < UNGUARDED_MAX;
        current.then(|| Self { gates: gates.to_vec(), ..self })
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
        self.gates.iter().filter_map(|(id, version)| {
            let drop = self.drops.iter().find(|drop| drop.id == *id)?;
            Some((*version, Fact::StockChanged { creator: drop.creator_id, drop: drop.id }))
        })
    }

    /// Whether something was held of all of them before.
    pub(super) fn is_frozen(&self) -> bool {
        self.drops.iter().all(|drop| drop.first_held_at.is_some())
    }

    /// Notes what was given out.
    pub(super) fn given<'q>(&mut self, quotes: impl IntoIterator<Item = (&'q Quote, DateTime<Utc>)>, at: DateTime<Utc>) {
        for (quote, until) in quotes {
            for line in &quote.lines {
                let (held, first) = self.held.entry(line.item).or_insert((0, until));
                *held = held.saturating_add(line.units);
                *first = until.min(*first);
            }
        }
        for drop in &mut self.drops {
            drop.first_held_at.get_or_insert(at);
        }
    }

    /// Notes that nothing was written, and the gates count as before.
    pub(super) fn rolled_back(mut self) -> Self {
        for (_, version) in &mut self.gates {
            *version = version.saturating_sub(1);
        }
        self
    }
}
