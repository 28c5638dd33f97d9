//! Who gets the units: one pure function, [`decide`], over what was loaded under the gate.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::quote::{Quote, QuoteRefusal};
use crate::{
    drops::state::{DropPhase, DropState, phase},
    platform::{
        Money, Refused,
        ids::{CheckoutId, DropId, DropItemId},
    },
};

/// The same person, with or without an account: an
/// [`accounts::PersonKey`](crate::platform::access::PersonKey), as the table keeps it.
pub type PersonKey = Vec<u8>;

/// The most checkouts of one person in a drop that may be held at once, unpaid.
pub const OPEN_HOLDS_MAX: u32 = 3;
/// So many holds of a person in a drop may run out within [`LAPSES_WITHIN`] for nothing.
pub const LAPSES_FREE: u32 = 1;
/// How long holds that ran out count.
pub const LAPSES_WITHIN: TimeDelta = TimeDelta::days(1);
/// The pause after one more; twice as long after each further one, up to [`PAUSE_MAX`].
pub const PAUSE_FIRST: TimeDelta = TimeDelta::minutes(1);
/// The longest pause.
pub const PAUSE_MAX: TimeDelta = TimeDelta::hours(4);

/// What is known of a drop under its gate.
#[derive(Debug, Clone)]
pub struct DropWindow {
    /// Its stored state.
    pub state: DropState,
    /// The window, `[opens_at, closes_at)`.
    pub opens_at: DateTime<Utc>,
    /// The window, `[opens_at, closes_at)`.
    pub closes_at: DateTime<Utc>,
    /// How long a hold lasts.
    pub hold: TimeDelta,
    /// How many units of all its items together one person may have, if that is bounded.
    pub per_buyer_max: Option<u32>,
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
    /// How many are kept for somebody now; what has run out is not among them.
    pub held: u32,
    /// How many one person may have.
    pub per_buyer_max: u32,
}

impl ItemStock {
    /// Units that are held or paid for.
    pub fn taken(&self) -> u32 {
        self.held.saturating_add(self.confirmed)
    }
}

/// Units that are kept for a checkout, and have not run out.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Of which item.
    pub item: DropItemId,
    /// How many.
    pub units: u32,
    /// For whom.
    pub person: PersonKey,
}

/// How a person has dealt with a drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Checkouts that are held, unpaid.
    pub open: u32,
    /// Checkouts whose hold ran out unpaid within [`LAPSES_WITHIN`].
    pub lapsed: u32,
    /// When the last of them did.
    pub lapsed_last: Option<DateTime<Utc>>,
}

impl Conduct {
    /// Until when nothing more is held for this person.
    pub fn pause_until(&self) -> Option<DateTime<Utc>> {
        let over = self.lapsed.checked_sub(LAPSES_FREE)?.checked_sub(1)?;
        let factor = 1_i32.checked_shl(over.min(20)).unwrap_or(i32::MAX);
        let pause = PAUSE_FIRST.checked_mul(factor).unwrap_or(PAUSE_MAX).min(PAUSE_MAX);
        self.lapsed_last?.checked_add_signed(pause)
    }
}

/// All that was loaded under the gates of one or more drops, as it is at the instant of the decision.
#[derive(Debug, Clone, Default)]
pub struct Stock {
    /// The drops.
    pub drops: BTreeMap<DropId, DropWindow>,
    /// Their items.
    pub items: BTreeMap<DropItemId, ItemStock>,
    /// The holds of the checkouts that are asked about.
    pub holds: HashMap<CheckoutId, Vec<Hold>>,
    /// Units held and paid for by item and person, of the persons that are asked about.
    pub by_person: HashMap<(DropItemId, PersonKey), u32>,
    /// How the persons that are asked about have dealt with the drops.
    pub conduct: HashMap<(DropId, PersonKey), Conduct>,
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
        /// What they cost.
        pricing: &'a Pricing<'a>,
        /// At most this much.
        expected_total: Money,
    },
    /// A deposit was paid: the checkout's holds become confirmed; if they lapsed, all lines are taken again,
    /// or none.
    Confirm {
        /// Which.
        checkout: CheckoutId,
        /// For whom.
        person: PersonKey,
        /// What the means of payment is known by: nobody has more with several addresses and one card.
        means: Option<PersonKey>,
        /// All of its lines.
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
    /// Before `opens_at`, which is this.
    NotOpen(DateTime<Utc>),
    /// At or after `closes_at`, or the drop was called off.
    Closed,
    /// Fewer units are free than are asked for.
    SoldOut,
    /// One person may not have that many.
    LimitExceeded,
    /// The person has [`OPEN_HOLDS_MAX`] unpaid checkouts in the drop.
    TooManyHolds,
    /// Too many holds of the person ran out unpaid: nothing more is held until then.
    HoldsLapsed(DateTime<Utc>),
    /// It costs more than was expected.
    PriceChanged,
    /// It has no price.
    Quote(QuoteRefusal),
    /// Fewer units than are held and confirmed.
    BelowTaken,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The units are held until then, at this price.
    Reserved(Quote, DateTime<Utc>),
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
    /// Units of an item that are held or paid for.
    pub fn taken(&self, item: DropItemId) -> u32 {
        self.items.get(&item).map_or(0, ItemStock::taken)
    }

    /// Notes what a person holds or has paid for, as it is loaded.
    pub fn add_of_person(&mut self, item: DropItemId, person: &PersonKey, units: u32) {
        let sum = self.by_person.entry((item, person.clone())).or_default();
        *sum = sum.saturating_add(units);
    }

    fn of_person(&self, item: DropItemId, person: &PersonKey) -> u32 {
        self.by_person.get(&(item, person.clone())).copied().unwrap_or(0)
    }

    fn of_person_in(&self, drop: DropId, person: &PersonKey) -> u32 {
        let items = self.items.iter().filter(|(_, stock)| stock.drop == drop);
        items.map(|(item, _)| self.of_person(*item, person)).fold(0, u32::saturating_add)
    }

    fn drops_of(&self, lines: &[LineClaim]) -> BTreeSet<DropId> {
        lines.iter().filter_map(|line| self.items.get(&line.item)).map(|stock| stock.drop).collect()
    }

    fn decide_one(&mut self, request: &Request<'_>, now: DateTime<Utc>) -> Decision {
        match request {
            Request::Reserve { checkout, person, lines, arrived_at, pricing, expected_total } => {
                let complaints = self.complaints(person, lines, *arrived_at, now);
                if !complaints.is_empty() {
                    return Decision::Refused(complaints, None);
                }
                let taken: Vec<u32> = lines.iter().map(|line| self.taken(line.item)).collect();
                let quote = match pricing(&taken) {
                    Ok(quote) => quote,
                    Err((at, refusal)) => {
                        let refused = Refused::item(StockRefusal::Quote(refusal), "lines", at, "itemId");
                        return Decision::Refused(vec![refused], None);
                    }
                };
                if quote.currency != expected_total.currency || quote.total_minor > expected_total.minor {
                    let refused = Refused::field(StockRefusal::PriceChanged, "expectedTotal");
                    return Decision::Refused(vec![refused], Some(quote));
                }
                Decision::Reserved(quote, self.hold(*checkout, person, lines, now))
            }
            Request::Confirm { checkout, person, means, lines } => {
                self.confirm(*checkout, person, means.as_ref(), lines)
            }
            Request::SetUnits { item, units } => {
                if *units < self.taken(*item) {
                    return Decision::Refused(vec![Refused::field(StockRefusal::BelowTaken, "units")], None);
                }
                if let Some(stock) = self.items.get_mut(item) {
                    stock.units = *units;
                }
                Decision::Done
            }
        }
    }

    /// Holds units for a checkout, as long as the most impatient of its drops says. Answers until when.
    fn hold(
        &mut self,
        checkout: CheckoutId,
        person: &PersonKey,
        lines: &[LineClaim],
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let drops = self.drops_of(lines);
        let lasts = drops.iter().filter_map(|drop| self.drops.get(drop)).map(|window| window.hold).min();
        for line in lines {
            if let Some(stock) = self.items.get_mut(&line.item) {
                stock.held = stock.held.saturating_add(line.units);
            }
            self.add_of_person(line.item, person, line.units);
        }
        let holds =
            lines.iter().map(|line| Hold { item: line.item, units: line.units, person: person.clone() });
        self.holds.insert(checkout, holds.collect());
        for drop in drops {
            let conduct = self.conduct.entry((drop, person.clone())).or_default();
            conduct.open = conduct.open.saturating_add(1);
        }
        now.checked_add_signed(lasts.unwrap_or_default()).unwrap_or(now)
    }

    /// Held units become free.
    fn release(&mut self, checkout: CheckoutId) {
        let mut ended = BTreeSet::new();
        for hold in self.holds.remove(&checkout).unwrap_or_default() {
            if let Some(stock) = self.items.get_mut(&hold.item) {
                stock.held = stock.held.saturating_sub(hold.units);
                ended.insert((stock.drop, hold.person.clone()));
            }
            if let Some(sum) = self.by_person.get_mut(&(hold.item, hold.person)) {
                *sum = sum.saturating_sub(hold.units);
            }
        }
        for of_person in ended {
            if let Some(conduct) = self.conduct.get_mut(&of_person) {
                conduct.open = conduct.open.saturating_sub(1);
            }
        }
    }

    fn confirm(
        &mut self,
        checkout: CheckoutId,
        person: &PersonKey,
        means: Option<&PersonKey>,
        lines: &[LineClaim],
    ) -> Decision {
        let called_off = |line: &LineClaim| {
            let window = self.items.get(&line.item).and_then(|stock| self.drops.get(&stock.drop));
            window.is_none_or(|window| window.state != DropState::Published)
        };
        if lines.iter().any(called_off) {
            return Decision::Refused(vec![Refused::whole(StockRefusal::Closed)], None);
        }
        let held = self.holds.get(&checkout);
        let active =
            |line: &LineClaim| held.is_some_and(|holds| holds.iter().any(|hold| hold.item == line.item));
        let late = !lines.iter().all(active);
        self.release(checkout);
        // Late, all lines are taken again, as if they were asked for now, or none.
        let mut complaints = if late { self.shortages(person, lines) } else { Vec::new() };
        if let Some(means) = means {
            complaints.extend(self.over_limit(means, lines));
        }
        if !complaints.is_empty() {
            return Decision::Refused(complaints, None);
        }
        for line in lines {
            if let Some(stock) = self.items.get_mut(&line.item) {
                stock.confirmed = stock.confirmed.saturating_add(line.units);
            }
            for owner in std::iter::once(person).chain(means) {
                self.add_of_person(line.item, owner, line.units);
            }
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
                    DropPhase::Scheduled => Some(StockRefusal::NotOpen(window.opens_at)),
                    DropPhase::Open if arrived_at < window.opens_at => {
                        Some(StockRefusal::NotOpen(window.opens_at))
                    }
                    DropPhase::Open => None,
                    DropPhase::Closed | DropPhase::Cancelled => Some(StockRefusal::Closed),
                },
            };
            complaints.extend(refusal.map(|refusal| Refused::item(refusal, "lines", at, "itemId")));
        }
        if complaints.is_empty() {
            complaints = self.shortages(person, lines);
        }
        if complaints.is_empty() {
            complaints.extend(self.misconduct(person, lines, now).map(Refused::whole));
        }
        complaints
    }

    /// Why a person is to pay for what is held first, or to wait.
    fn misconduct(
        &self,
        person: &PersonKey,
        lines: &[LineClaim],
        now: DateTime<Utc>,
    ) -> Option<StockRefusal> {
        let drops = self.drops_of(lines);
        let conduct = || drops.iter().filter_map(|drop| self.conduct.get(&(*drop, person.clone())));
        let pause = conduct().filter_map(Conduct::pause_until).filter(|until| *until > now).max();
        let too_many =
            conduct().any(|conduct| conduct.open >= OPEN_HOLDS_MAX).then_some(StockRefusal::TooManyHolds);
        pause.map(StockRefusal::HoldsLapsed).or(too_many)
    }

    /// Lines that lead beyond what one person may have of an item, or of a drop.
    fn over_limit(&self, person: &PersonKey, lines: &[LineClaim]) -> Vec<Refused<StockRefusal>> {
        let (mut wanted, mut wanted_in): (BTreeMap<DropItemId, u32>, BTreeMap<DropId, u32>) =
            Default::default();
        let over = |(at, line): (usize, &LineClaim)| {
            let stock = self.items.get(&line.item)?;
            let of_item =
                add(&mut wanted, line.item, line.units).saturating_add(self.of_person(line.item, person));
            let of_drop = add(&mut wanted_in, stock.drop, line.units)
                .saturating_add(self.of_person_in(stock.drop, person));
            let max = self.drops.get(&stock.drop).and_then(|window| window.per_buyer_max);
            let over = of_item > stock.per_buyer_max || max.is_some_and(|max| of_drop > max);
            over.then(|| Refused::item(StockRefusal::LimitExceeded, "lines", at, "units"))
        };
        lines.iter().enumerate().filter_map(over).collect()
    }

    /// Lines for which too few units are free.
    fn sold_out(&self, lines: &[LineClaim]) -> Vec<Refused<StockRefusal>> {
        let mut wanted: BTreeMap<DropItemId, u32> = BTreeMap::new();
        let short = |(at, line): (usize, &LineClaim)| {
            let Some(stock) = self.items.get(&line.item) else {
                return Some(Refused::item(StockRefusal::ItemNotFound, "lines", at, "itemId"));
            };
            let taken = add(&mut wanted, line.item, line.units).saturating_add(stock.taken());
            (taken > stock.units).then(|| Refused::item(StockRefusal::SoldOut, "lines", at, "units"))
        };
        lines.iter().enumerate().filter_map(short).collect()
    }

    /// Lines that a person cannot have: of each, its limit is told before what is left.
    fn shortages(&self, person: &PersonKey, lines: &[LineClaim]) -> Vec<Refused<StockRefusal>> {
        let mut complaints = self.over_limit(person, lines);
        for short in self.sold_out(lines) {
            if !complaints.iter().any(|over| over.path == short.path) {
                complaints.push(short);
            }
        }
        complaints.sort_by(|one, other| one.path.cmp(&other.path));
        complaints
    }
}

/// Adds to a sum, and answers it.
fn add<K: Ord>(sums: &mut BTreeMap<K, u32>, key: K, units: u32) -> u32 {
    let sum = sums.entry(key).or_default();
    *sum = sum.saturating_add(units);
    *sum
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
