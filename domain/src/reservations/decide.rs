//! Decides who gets units: one pure function, [`decide`], over the data that was loaded under the gates.

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

/// The key of a person, with or without an account: an
/// [`accounts::StoredPersonKey`](crate::platform::access::PersonKey), as the table stores it.
pub type StoredPersonKey = Vec<u8>;

/// The maximum number of unpaid checkouts that one person may hold in a drop at once.
pub const OPEN_HOLDS_MAX: u32 = 3;
/// The number of a person's holds in a drop that may expire within [`LAPSES_WITHIN`] without a pause.
pub const LAPSES_FREE: u32 = 1;
/// How long an expired hold counts.
pub const LAPSES_WITHIN: TimeDelta = TimeDelta::days(1);
/// The pause after one more expired hold. It doubles with each further one, up to [`PAUSE_MAX`].
pub const PAUSE_FIRST: TimeDelta = TimeDelta::minutes(1);
/// The maximum pause.
pub const PAUSE_MAX: TimeDelta = TimeDelta::hours(4);

/// The data of a drop, loaded under its gate.
#[derive(Debug, Clone)]
pub struct DropWindow {
    /// The stored state.
    pub state: DropState,
    /// When the window opens.
    pub opens_at: DateTime<Utc>,
    /// When the window closes: the window is `[opens_at, closes_at)`.
    pub closes_at: DateTime<Utc>,
    /// How long a hold lasts.
    pub hold: TimeDelta,
    /// The maximum number of units of all items together that one person may have, if limited.
    pub per_buyer_max: Option<u32>,
}

/// The data of an item, loaded under its drop's gate.
#[derive(Debug, Clone)]
pub struct ItemStock {
    /// The drop.
    pub drop: DropId,
    /// The number of units for sale.
    pub units: u32,
    /// The number of paid units.
    pub confirmed: u32,
    /// The number of units held now, without expired holds.
    pub held: u32,
    /// The maximum number of units that one person may have.
    pub per_buyer_max: u32,
}

impl ItemStock {
    /// Returns the number of units that are held or paid for.
    pub fn taken(&self) -> u32 {
        self.held.saturating_add(self.confirmed)
    }
}

/// Units that are held for a checkout. The hold has not expired.
#[derive(Debug, Clone)]
pub struct Hold {
    /// The item.
    pub item: DropItemId,
    /// The number of units.
    pub units: u32,
    /// The person.
    pub person: StoredPersonKey,
}

/// A person's conduct in a drop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conduct {
    /// The number of checkouts that are held and unpaid.
    pub open: u32,
    /// The number of checkouts whose hold expired unpaid within [`LAPSES_WITHIN`].
    pub lapsed: u32,
    /// When the last of these holds expired.
    pub lapsed_last: Option<DateTime<Utc>>,
}

impl Conduct {
    /// Returns until when the person may not reserve, if there is a pause.
    pub fn pause_until(&self) -> Option<DateTime<Utc>> {
        let over = self.lapsed.checked_sub(LAPSES_FREE)?.checked_sub(1)?;
        let factor = 1_i32.checked_shl(over.min(20)).unwrap_or(i32::MAX);
        let pause = PAUSE_FIRST.checked_mul(factor).unwrap_or(PAUSE_MAX).min(PAUSE_MAX);
        self.lapsed_last?.checked_add_signed(pause)
    }
}

/// The data that was loaded under the gates of one or more drops, as of the instant of the decision.
#[derive(Debug, Clone, Default)]
pub struct Stock {
    /// The drops.
    pub drops: BTreeMap<DropId, DropWindow>,
    /// The items of the drops.
    pub items: BTreeMap<DropItemId, ItemStock>,
    /// The holds of the checkouts that the requests are about.
    pub holds: HashMap<CheckoutId, Vec<Hold>>,
    /// The units held and paid for by item and person, for the persons that the requests are about.
    pub by_person: HashMap<(DropItemId, StoredPersonKey), u32>,
    /// The conduct in the drops of the persons that the requests are about.
    pub conduct: HashMap<(DropId, StoredPersonKey), Conduct>,
}

/// A number of units of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineClaim {
    /// The item.
    pub item: DropItemId,
    /// The number of units, at least 1.
    pub units: u32,
}

/// Prices the lines of a request, given the number of units taken of each line's item.
pub type Pricing<'a> = dyn Fn(&[u32]) -> Result<Quote, (usize, QuoteRefusal)> + Send + Sync + 'a;

/// A request to change claims.
pub enum Request<'a> {
    /// A buyer wants to reserve units.
    Reserve {
        /// The checkout to create.
        checkout: CheckoutId,
        /// The person.
        person: StoredPersonKey,
        /// The lines.
        lines: Vec<LineClaim>,
        /// When the request arrived. The opening of the window is compared with this time.
        arrived_at: DateTime<Utc>,
        /// Prices the lines.
        pricing: &'a Pricing<'a>,
        /// The maximum total.
        expected_total: Money,
    },
    /// A deposit was paid, so the checkout's holds become confirmed. If they lapsed, all lines are claimed
    /// again, or none.
    Confirm {
        /// The checkout.
        checkout: CheckoutId,
        /// The person.
        person: StoredPersonKey,
        /// The hash of the means of payment. It counts like a person, so that a buyer with several addresses
        /// and one card cannot exceed the limits.
        means: Option<StoredPersonKey>,
        /// All lines of the checkout.
        lines: Vec<LineClaim>,
    },
    /// The creator changes the number of units of an item.
    SetUnits {
        /// The item.
        item: DropItemId,
        /// The new number of units.
        units: u32,
    },
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StockRefusal {
    /// The drops have no such item, or the drop is not announced.
    ItemNotFound,
    /// The window has not opened yet; it opens at this time.
    NotOpen(DateTime<Utc>),
    /// The window has closed, or the drop was cancelled.
    Closed,
    /// Fewer units are free than were requested.
    SoldOut,
    /// The request exceeds the limit per person.
    LimitExceeded,
    /// The person has [`OPEN_HOLDS_MAX`] unpaid checkouts in the drop.
    TooManyHolds,
    /// Too many of the person's holds expired unpaid; nothing more is held before this time.
    HoldsLapsed(DateTime<Utc>),
    /// The total is higher than expected.
    PriceChanged,
    /// The lines cannot be priced.
    Quote(QuoteRefusal),
    /// The new number of units is below the number of units held and confirmed.
    BelowTaken,
}

/// The decision about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The units are held until this time, at this price.
    Reserved(Quote, DateTime<Utc>),
    /// The units are confirmed.
    Confirmed,
    /// The number of units is changed.
    Done,
    /// Nothing changes. If the price is the reason, the new quote is included.
    Refused(Vec<Refused<StockRefusal>>, Option<Quote>),
}

/// Decides requests in order. Each decision takes those before it into account. A pure function: the caller
/// writes the results.
pub fn decide(stock: &Stock, requests: &[Request<'_>], now: DateTime<Utc>) -> Vec<Decision> {
    let mut stock = stock.clone();
    requests.iter().map(|request| stock.decide_one(request, now)).collect()
}

impl Stock {
    /// Returns the number of units of an item that are held or paid for.
    pub fn taken(&self, item: DropItemId) -> u32 {
        self.items.get(&item).map_or(0, ItemStock::taken)
    }

    /// Adds units that a person holds or has paid for.
    pub fn add_of_person(&mut self, item: DropItemId, person: &StoredPersonKey, units: u32) {
        let sum = self.by_person.entry((item, person.clone())).or_default();
        *sum = sum.saturating_add(units);
    }

    fn of_person(&self, item: DropItemId, person: &StoredPersonKey) -> u32 {
        self.by_person.get(&(item, person.clone())).copied().unwrap_or(0)
    }

    fn of_person_in(&self, drop: DropId, person: &StoredPersonKey) -> u32 {
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
                        let refused =
                            Refused::item(StockRefusal::Quote(refusal), "lines", at, refusal.field());
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

    /// Holds units for a checkout, for the shortest hold time of its drops. Returns until when.
    fn hold(
        &mut self,
        checkout: CheckoutId,
        person: &StoredPersonKey,
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

    /// Frees the held units of a checkout.
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
        person: &StoredPersonKey,
        means: Option<&StoredPersonKey>,
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
        // If the payment is late, all lines are claimed again as if they were requested now, or none.
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
        person: &StoredPersonKey,
        lines: &[LineClaim],
        arrived_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Vec<Refused<StockRefusal>> {
        let mut complaints = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let window = self.items.get(&line.item).and_then(|stock| self.drops.get(&stock.drop));
            let refusal = match window {
                None => Some(StockRefusal::ItemNotFound),
                // The opening is compared with the arrival of the request, the close with the time of the
                // decision.
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

    /// Returns why a person must pay for a hold first, or wait.
    fn misconduct(
        &self,
        person: &StoredPersonKey,
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

    /// Returns refusals for the lines that exceed the limit per person of an item or of a drop.
    fn over_limit(&self, person: &StoredPersonKey, lines: &[LineClaim]) -> Vec<Refused<StockRefusal>> {
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

    /// Returns refusals for the lines for which too few units are free.
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

    /// Returns refusals for the lines that a person cannot have, at most one per line. An exceeded limit
    /// takes precedence over a lack of units.
    fn shortages(&self, person: &StoredPersonKey, lines: &[LineClaim]) -> Vec<Refused<StockRefusal>> {
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

/// Adds to a sum and returns it.
fn add<K: Ord>(sums: &mut BTreeMap<K, u32>, key: K, units: u32) -> u32 {
    let sum = sums.entry(key).or_default();
    *sum = sum.saturating_add(units);
    *sum
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
