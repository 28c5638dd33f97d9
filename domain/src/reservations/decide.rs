//! Who gets the units: one pure function, [`decide`], over what was loaded under the gate.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};

use super::quote::{Quote, QuoteRefusal};
use crate::{
    drops::state::{DropPhase, DropState, phase},
    platform::{
        Money, Refused,
        ids::{CheckoutId, DropId, DropItemId},
    },
};

/// The same person, with or without an account: a hash of the confirmed e-mail address.
pub type PersonKey = Vec<u8>;

/// What is known of a drop under its gate.
#[derive(Debug, Clone)]
pub struct DropWindow {
    /// Its stored state.
    pub state: DropState,
    /// The window, `[opens_at, closes_at)`.
    pub opens_at: DateTime<Utc>,
    /// The window, `[opens_at, closes_at)`.
    pub closes_at: DateTime<Utc>,
}

/// What is known of an item under its drop's gate.
#[derive(Debug, Clone)]
pub struct ItemStock {
    /// Its drop.
    pub drop: DropId,
    /// How many may be sold.
    pub units: u32,
    /// How many are paid for.
    pub confirmed: u32,
    /// How many one person may have.
    pub per_buyer_max: u32,
}

/// Units that are kept for somebody until an instant.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Of which checkout.
    pub checkout: CheckoutId,
    /// Of which item.
    pub item: DropItemId,
    /// How many.
    pub units: u32,
    /// Until when; it counts while `expires_at > now`.
    pub expires_at: DateTime<Utc>,
    /// For whom.
    pub person: PersonKey,
}

/// All that was loaded under the gates of one or more drops.
#[derive(Debug, Clone, Default)]
pub struct Stock {
    /// The drops.
    pub drops: BTreeMap<DropId, DropWindow>,
    /// Their items.
    pub items: BTreeMap<DropItemId, ItemStock>,
    /// Holds of these items; lapsed ones may be among them.
    pub holds: Vec<Hold>,
    /// Paid units by item and person, of the persons that are asked about.
    pub confirmed_by_person: HashMap<(DropItemId, PersonKey), u32>,
}

/// So many units of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineClaim {
    /// The item.
    pub item: DropItemId,
    /// How many, from 1.
    pub units: u32,
}

/// Prices the lines of a request, given how many units of each line's item are taken.
pub type Pricing<'a> = dyn Fn(&[u32]) -> Result<Quote, (usize, QuoteRefusal)> + Send + Sync + 'a;

/// Something that wants to change claims.
pub enum Request<'a> {
    /// A buyer wants units.
    Reserve {
        /// The checkout to be.
        checkout: CheckoutId,
        /// For whom.
        person: PersonKey,
        /// What.
        lines: Vec<LineClaim>,
        /// When the request came in: it counts for the opening.
        arrived_at: DateTime<Utc>,
        /// Until when the units are to be held.
        expires_at: DateTime<Utc>,
        /// What they cost.
        pricing: &'a Pricing<'a>,
        /// At most this much.
        expected_total: Money,
    },
    /// A deposit was paid: the checkout's holds become confirmed; if they lapsed, all lines are taken again, or none.
    Confirm {
        /// Which.
        checkout: CheckoutId,
        /// For whom.
        person: PersonKey,
        /// All of its lines.
        lines: Vec<LineClaim>,
    },
    /// Holds are given up, or have lapsed.
    Release {
        /// Which.
        checkout: CheckoutId,
    },
    /// Confirmed units are given back.
    GiveBack {
        /// Which.
        lines: Vec<LineClaim>,
    },
    /// The creator changes how many units there are.
    SetUnits {
        /// Of which item.
        item: DropItemId,
        /// To how many.
        units: u32,
    },
}

/// Why units are not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockRefusal {
    /// No such item in the drops at hand.
    ItemNotFound,
    /// Before `opens_at`.
    NotOpen,
    /// At or after `closes_at`, or the drop was called off.
    Closed,
    /// Fewer units are free than are asked for.
    SoldOut,
    /// One person may not have that many.
    LimitExceeded,
    /// It costs more than was expected.
    PriceChanged,
    /// It has no price.
    Unpriced(QuoteRefusal),
    /// Fewer units than are held and confirmed.
    BelowTaken,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The units are held, at this price.
    Reserved(Quote),
    /// The units are the buyer's.
    Confirmed,
    /// The change is made.
    Done,
    /// Nothing changed. With the price as it is now when that is why.
    Refused(Vec<Refused<StockRefusal>>, Option<Quote>),
}

/// Decides requests in order, each in full view of those before it. Pure: the caller writes what was decided.
pub fn decide(stock: &Stock, requests: &[Request<'_>], now: DateTime<Utc>) -> Vec<Decision> {
    let mut stock = stock.clone();
    requests.iter().map(|request| stock.decide_one(request, now)).collect()
}

impl Stock {
    /// Units of an item that are held or confirmed at `now`.
    pub fn taken(&self, item: DropItemId, now: DateTime<Utc>) -> u32 {
        let confirmed = self.items.get(&item).map_or(0, |stock| stock.confirmed);
        let held = self.holds.iter().filter(|hold| hold.item == item && hold.expires_at > now).map(|hold| hold.units);
        held.fold(confirmed, u32::saturating_add)
    }

    fn of_person(&self, item: DropItemId, person: &PersonKey, now: DateTime<Utc>) -> u32 {
        let confirmed = self.confirmed_by_person.get(&(item, person.clone())).copied().unwrap_or(0);
        let mine = self.holds.iter().filter(|hold| hold.item == item && hold.person == *person && hold.expires_at > now);
        mine.map(|hold| hold.units).fold(confirmed, u32::saturating_add)
    }

    fn decide_one(&mut self, request: &Request<'_>, now: DateTime<Utc>) -> Decision {
        match request {
            Request::Reserve { checkout, person, lines, arrived_at, expires_at, pricing, expected_total } => {
                let complaints = self.complaints(person, lines, *arrived_at, now);
                if !complaints.is_empty() {
                    return Decision::Refused(complaints, None);
                }
                let taken: Vec<u32> = lines.iter().map(|line| self.taken(line.item, now)).collect();
                let quote = match pricing(&taken) {
                    Ok(quote) => quote,
                    Err((at, refusal)) => {
                        let refused = Refused::item(StockRefusal::Unpriced(refusal), "lines", at, "itemId");
                        return Decision::Refused(vec![refused], None);
                    }
                };
                if quote.currency != expected_total.currency || quote.total_minor > expected_total.minor {
                    let refused = Refused::field(StockRefusal::PriceChanged, "expectedTotal");
                    return Decision::Refused(vec![refused], Some(quote));
                }
                for line in lines {
                    let (item, units) = (line.item, line.units);
                    self.holds.push(Hold { checkout: *checkout, item, units, expires_at: *expires_at, person: person.clone() });
                }
                Decision::Reserved(quote)
            }
            Request::Confirm { checkout, person, lines } => self.confirm(*checkout, person, lines, now),
            Request::Release { checkout } => {
                self.release(*checkout);
                Decision::Done
            }
            Request::GiveBack { lines } => {
                for line in lines {
                    if let Some(stock) = self.items.get_mut(&line.item) {
                        stock.confirmed = stock.confirmed.saturating_sub(line.units);
                    }
                }
                Decision::Done
            }
            Request::SetUnits { item, units } => {
                if *units < self.taken(*item, now) {
                    return Decision::Refused(vec![Refused::field(StockRefusal::BelowTaken, "units")], None);
                }
                if let Some(stock) = self.items.get_mut(item) {
                    stock.units = *units;
                }
                Decision::Done
            }
        }
    }

    /// The one way in which held units become free.
    fn release(&mut self, checkout: CheckoutId) {
        self.holds.retain(|hold| hold.checkout != checkout);
    }

    fn confirm(&mut self, checkout: CheckoutId, person: &PersonKey, lines: &[LineClaim], now: DateTime<Utc>) -> Decision {
        let active = |line: &LineClaim| {
            let mut holds = self.holds.iter().filter(|hold| hold.checkout == checkout && hold.item == line.item);
            holds.any(|hold| hold.expires_at > now)
        };
        let called_off = |line: &LineClaim| {
            let window = self.items.get(&line.item).and_then(|stock| self.drops.get(&stock.drop));
            window.is_none_or(|window| window.state != DropState::Published)
        };
        if lines.iter().any(called_off) {
            return Decision::Refused(vec![Refused::whole(StockRefusal::Closed)], None);
        }
        if !lines.iter().all(active) {
            // Late: all lines are taken again, as if they were asked for now, or none.
            self.release(checkout);
            let complaints = self.shortages(person, lines, now);
            if !complaints.is_empty() {
                return Decision::Refused(complaints, None);
            }
        }
        self.release(checkout);
        for line in lines {
            if let Some(stock) = self.items.get_mut(&line.item) {
                stock.confirmed = stock.confirmed.saturating_add(line.units);
            }
            let mine = self.confirmed_by_person.entry((line.item, person.clone())).or_default();
            *mine = mine.saturating_add(line.units);
        }
        Decision::Confirmed
    }

    fn complaints(
        &self,
        person: &PersonKey,
        lines: &[LineClaim],
        arrived_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Vec<Refused<StockRefusal>> {
        let mut complaints = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let window = self.items.get(&line.item).and_then(|stock| self.drops.get(&stock.drop));
            let refusal = match window {
                None => Some(StockRefusal::ItemNotFound),
                // The opening counts by arrival, the close by the decision.
                Some(window) => match phase(window.state, window.opens_at, window.closes_at, now) {
                    DropPhase::Draft => Some(StockRefusal::ItemNotFound),
                    DropPhase::Scheduled => Some(StockRefusal::NotOpen),
                    DropPhase::Open if arrived_at < window.opens_at => Some(StockRefusal::NotOpen),
                    DropPhase::Open => None,
                    DropPhase::Closed | DropPhase::Cancelled => Some(StockRefusal::Closed),
                },
            };
            complaints.extend(refusal.map(|refusal| Refused::item(refusal, "lines", at, "itemId")));
        }
        if complaints.is_empty() { self.shortages(person, lines, now) } else { complaints }
    }

    fn shortages(&self, person: &PersonKey, lines: &[LineClaim], now: DateTime<Utc>) -> Vec<Refused<StockRefusal>> {
        let mut wanted: BTreeMap<DropItemId, u32> = BTreeMap::new();
        let mut complaints = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some(stock) = self.items.get(&line.item) else {
                complaints.push(Refused::item(StockRefusal::ItemNotFound, "lines", at, "itemId"));
                continue;
            };
            let sum = wanted.entry(line.item).or_default();
            *sum = sum.saturating_add(line.units);
            let refusal = if sum.saturating_add(self.of_person(line.item, person, now)) > stock.per_buyer_max {
                Some(StockRefusal::LimitExceeded)
            } else if sum.saturating_add(self.taken(line.item, now)) > stock.units {
                Some(StockRefusal::SoldOut)
            } else {
                None
            };
            complaints.extend(refusal.map(|refusal| Refused::item(refusal, "lines", at, "units")));
        }
        complaints
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
