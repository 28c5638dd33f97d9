//! The model: the rules of reservations and payments again, over a few vectors in memory, without a database,
//! transactions or faults. It is written from the rules, not from the code.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::{
    payments::gateway::IntentState,
    platform::ids::{CheckoutId, DropId, DropItemId, EntityId, PaymentId, ReservationId},
};

/// The maximum time, in seconds, that a choice may wait in our own queue without counting against the hold.
const QUEUE_SECS: i64 = 300;
/// The seconds by which a payment in process extends the hold, once.
const PROCESSING_SECS: i64 = 600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DropModel {
    pub(crate) id: DropId,
    pub(crate) opens_at: DateTime<Utc>,
    pub(crate) closes_at: DateTime<Utc>,
    pub(crate) hold_secs: i64,
    pub(crate) called_off: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemModel {
    pub(crate) id: DropItemId,
    pub(crate) drop: usize,
    pub(crate) units: u32,
    pub(crate) limit: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineState {
    Held,
    Confirmed,
    Expired,
    Cancelled,
    Refunded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineModel {
    pub(crate) id: ReservationId,
    pub(crate) item: usize,
    pub(crate) units: u32,
    pub(crate) deposit_minor: i64,
    pub(crate) state: LineState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PaymentState {
    Preparing,
    RequiresMethod,
    RequiresAction,
    Processing,
    Succeeded,
    Cancelled,
}

/// A checkout with its payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckoutModel {
    pub(crate) id: CheckoutId,
    pub(crate) buyer: usize,
    pub(crate) lines: Vec<LineModel>,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) extended: bool,
    pub(crate) payment: PaymentId,
    pub(crate) state: PaymentState,
    /// The seconds that were left of the hold when the buyer's choice was queued, while it is queued.
    pub(crate) queued: Option<i64>,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    /// The amounts of the refunds, and whether each is done.
    pub(crate) refunds: Vec<(i64, bool)>,
    /// The number of letters that the checkout was confirmed, and that it lapsed.
    pub(crate) confirmations: usize,
    pub(crate) lapses: usize,
}

/// The code of a refusal: the name of the enum variant.
pub(crate) type Code = &'static str;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) drops: Vec<DropModel>,
    pub(crate) items: Vec<ItemModel>,
    pub(crate) checkouts: Vec<CheckoutModel>,
}

fn seconds(count: i64) -> TimeDelta {
    TimeDelta::seconds(count)
}

impl CheckoutModel {
    pub(crate) fn due(&self) -> i64 {
        self.lines.iter().map(|line| line.deposit_minor).sum()
    }

    fn is_held(&self) -> bool {
        self.lines.iter().any(|line| line.state == LineState::Held)
    }

    fn all_held(&self, now: DateTime<Utc>) -> bool {
        self.expires_at > now && self.lines.iter().all(|line| line.state == LineState::Held)
    }

    fn end_holds(&mut self, state: LineState) {
        for line in &mut self.lines {
            if line.state == LineState::Held {
                line.state = state;
            }
        }
        // A payment in process continues: its outcome decides.
        if matches!(
            self.state,
            PaymentState::Preparing | PaymentState::RequiresMethod | PaymentState::RequiresAction
        ) {
            self.state = PaymentState::Cancelled;
            self.queued = None;
        }
    }

    fn resume(&mut self, left: Option<i64>, extra: i64, now: DateTime<Utc>) {
        if !self.is_held() || self.expires_at <= now || (left.is_none() && extra == 0) {
            return;
        }
        self.expires_at = left.map_or(self.expires_at, |left| now + seconds(left)) + seconds(extra);
        self.extended |= extra > 0;
    }
}

impl Model {
    /// Returns the units of an item that are held or confirmed at `now`, of all buyers or of one, without
    /// those of one checkout.
    fn taken(&self, item: usize, buyer: Option<usize>, without: Option<usize>, now: DateTime<Utc>) -> u32 {
        let others = self
            .checkouts
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != without)
            .map(|(_, checkout)| checkout);
        let of_buyer = others.filter(|checkout| buyer.is_none_or(|buyer| checkout.buyer == buyer));
        let counts = |checkout: &CheckoutModel, line: &LineModel| match line.state {
            LineState::Held => checkout.expires_at > now,
            LineState::Confirmed => true,
            LineState::Expired | LineState::Cancelled | LineState::Refunded => false,
        };
        let lines =
            of_buyer.flat_map(|checkout| checkout.lines.iter().filter(move |line| counts(checkout, line)));
        lines.filter(|line| line.item == item).map(|line| line.units).sum()
    }

    fn confirmed(&self, item: usize) -> u32 {
        let lines = self.checkouts.iter().flat_map(|checkout| &checkout.lines);
        lines
            .filter(|line| line.item == item && line.state == LineState::Confirmed)
            .map(|line| line.units)
            .sum()
    }

    /// Returns the refusals of the lines (item and units) that a buyer would get at `now` because of limits
    /// or stock.
    fn shortages(
        &self,
        buyer: usize,
        lines: &[(usize, u32)],
        without: Option<usize>,
        now: DateTime<Utc>,
    ) -> Vec<Code> {
        let mut codes = Vec::new();
        for (at, (item, _)) in lines.iter().enumerate() {
            let wanted: u32 =
                lines[..=at].iter().filter(|(other, _)| other == item).map(|(_, units)| units).sum();
            if wanted + self.taken(*item, Some(buyer), without, now) > self.items[*item].limit {
                codes.push("LimitExceeded");
            } else if wanted + self.taken(*item, None, without, now) > self.items[*item].units {
                codes.push("SoldOut");
            }
        }
        codes
    }

    /// Checks whether units may be reserved, and returns until when they are held.
    pub(crate) fn reserve(
        &self,
        buyer: usize,
        lines: &[(usize, u32)],
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Vec<Code>> {
        let drops: Vec<&DropModel> =
            lines.iter().map(|(item, _)| &self.drops[self.items[*item].drop]).collect();
        let closed: Vec<Code> = drops
            .iter()
            .filter_map(|drop| match drop {
                drop if drop.called_off || now >= drop.closes_at => Some("Closed"),
                drop if now < drop.opens_at => Some("NotOpen"),
                _ => None,
            })
            .collect();
        let codes = if closed.is_empty() { self.shortages(buyer, lines, None, now) } else { closed };
        let of_lines = lines.iter().map(|(item, _)| self.items[*item].drop);
        let codes = if codes.is_empty() {
            self.misconduct(buyer, &of_lines.collect::<BTreeSet<_>>(), now)
        } else {
            codes
        };
        if codes.is_empty() {
            Ok(now + seconds(drops.iter().map(|drop| drop.hold_secs).min().unwrap()))
        } else {
            Err(codes)
        }
    }

    /// Returns why a buyer must pay first or wait. At most three checkouts may be open in a drop. After the
    /// second hold that expires within a day there is a pause of one minute, which doubles with each further
    /// one, up to four hours.
    fn misconduct(&self, buyer: usize, drops: &BTreeSet<usize>, now: DateTime<Utc>) -> Vec<Code> {
        let of_buyer = |drop: usize| {
            let theirs = self.checkouts.iter().filter(move |checkout| checkout.buyer == buyer);
            theirs
                .filter(move |checkout| checkout.lines.iter().any(|line| self.items[line.item].drop == drop))
        };
        let in_drop = |checkout: &CheckoutModel, drop: usize, state: LineState| {
            checkout.lines.iter().any(|line| self.items[line.item].drop == drop && line.state == state)
        };
        let (mut pauses, mut full) = (false, false);
        for drop in drops.iter().copied() {
            let open = of_buyer(drop)
                .filter(|one| one.expires_at > now && in_drop(one, drop, LineState::Held))
                .count();
            let ran_out = |one: &&CheckoutModel| {
                let over = in_drop(one, drop, LineState::Held) && one.expires_at <= now;
                over || (in_drop(one, drop, LineState::Expired) && one.expires_at > now - TimeDelta::days(1))
            };
            let ends: Vec<_> = of_buyer(drop).filter(ran_out).map(|one| one.expires_at).collect();
            if ends.len() >= 2 {
                let minutes = 1_i64 << (ends.len() - 2).min(10);
                pauses |= *ends.iter().max().unwrap() + TimeDelta::minutes(minutes.min(240)) > now;
            }
            full |= open >= 3;
        }
        if pauses {
            vec!["HoldsLapsed"]
        } else if full {
            vec!["TooManyHolds"]
        } else {
            Vec::new()
        }
    }

    /// Applies the buyer's choice of a method.
    pub(crate) fn pay(&mut self, at: usize, buyer: usize, now: DateTime<Utc>) -> Result<(), Code> {
        let checkout = &mut self.checkouts[at];
        if checkout.buyer != buyer {
            return Err("NotFound");
        }
        match checkout.state {
            PaymentState::Succeeded => return Err("AlreadyPaid"),
            PaymentState::Processing => return Err("PaymentInProcess"),
            PaymentState::Cancelled => return Err("HoldOver"),
            PaymentState::Preparing if checkout.queued.is_some() => return Err("PaymentInProcess"),
            PaymentState::Preparing | PaymentState::RequiresMethod | PaymentState::RequiresAction => {}
        }
        if !checkout.all_held(now) {
            return Err("HoldOver");
        }
        checkout.state = PaymentState::Preparing;
        checkout.queued = Some((checkout.expires_at - now).num_seconds().max(1));
        checkout.expires_at += seconds(QUEUE_SECS);
        Ok(())
    }

    /// Applies the buyer's cancellation of a line.
    pub(crate) fn cancel(
        &mut self,
        at: usize,
        line: usize,
        buyer: usize,
        now: DateTime<Utc>,
    ) -> Result<(), Code> {
        let checkout = &mut self.checkouts[at];
        if checkout.buyer != buyer {
            return Err("NotFound");
        }
        match checkout.lines[line].state {
            LineState::Held if checkout.queued.is_some() || checkout.state == PaymentState::Processing => {
                Err("PaymentInProcess")
            }
            LineState::Held => {
                checkout.end_holds(LineState::Cancelled);
                Ok(())
            }
            LineState::Confirmed
                if now >= self.drops[self.items[checkout.lines[line].item].drop].closes_at =>
            {
                Err("WindowClosed")
            }
            LineState::Confirmed => {
                checkout.lines[line].state = LineState::Refunded;
                checkout.refunds.push((checkout.lines[line].deposit_minor, false));
                Ok(())
            }
            LineState::Expired | LineState::Cancelled | LineState::Refunded => Err("Over"),
        }
    }

    /// Applies the creator's change of an item's units.
    pub(crate) fn set_units(&mut self, item: usize, units: u32, now: DateTime<Utc>) -> Result<(), Code> {
        if self.drops[self.items[item].drop].called_off {
            return Err("Cancelled");
        }
        if units < self.taken(item, None, None, now) {
            return Err("BelowReserved");
        }
        self.items[item].units = units;
        Ok(())
    }

    /// Applies the creator's cancellation of a drop.
    pub(crate) fn call_off(&mut self, drop: usize) -> Result<(), Code> {
        if std::mem::replace(&mut self.drops[drop].called_off, true) {
            return Err("AlreadyCancelled");
        }
        for checkout in &mut self.checkouts {
            let in_drop = |line: &LineModel| self.items[line.item].drop == drop;
            let mut back = 0;
            for line in
                checkout.lines.iter_mut().filter(|line| in_drop(line) && line.state == LineState::Confirmed)
            {
                line.state = LineState::Refunded;
                back += line.deposit_minor;
            }
            if back > 0 {
                checkout.refunds.push((back, false));
            }
            if checkout.lines.iter().any(|line| in_drop(line) && line.state == LineState::Held) {
                checkout.end_holds(LineState::Cancelled);
            }
        }
        Ok(())
    }

    /// Lapses a checkout if its hold has expired.
    pub(crate) fn lapse(&mut self, at: usize, now: DateTime<Utc>) {
        let checkout = &mut self.checkouts[at];
        if checkout.is_held() && checkout.expires_at <= now {
            checkout.end_holds(LineState::Expired);
            checkout.lapses += 1;
        }
    }

    /// Applies the gateway's report of an intent, from a webhook or from the answer to a call.
    pub(crate) fn told(&mut self, at: usize, intent: IntentState, by_webhook: bool, now: DateTime<Utc>) {
        let checkout = &mut self.checkouts[at];
        let of_earlier_choice = matches!(intent, IntentState::RequiresMethod | IntentState::RequiresAction);
        if checkout.state == PaymentState::Succeeded
            || (by_webhook && checkout.queued.is_some() && of_earlier_choice)
        {
            return;
        }
        if checkout.state == PaymentState::Cancelled && intent != IntentState::Succeeded {
            return;
        }
        let left = checkout.queued.take();
        match intent {
            IntentState::RequiresMethod => {
                checkout.state = PaymentState::RequiresMethod;
                checkout.resume(left, 0, now);
            }
            IntentState::RequiresAction => {
                checkout.state = PaymentState::RequiresAction;
                checkout.resume(left, 0, now);
            }
            IntentState::Processing => {
                checkout.state = PaymentState::Processing;
                let extra = if checkout.extended { 0 } else { PROCESSING_SECS };
                checkout.resume(left, extra, now);
            }
            IntentState::Cancelled => checkout.state = PaymentState::Cancelled,
            IntentState::Succeeded => {
                checkout.state = PaymentState::Succeeded;
                checkout.captured = checkout.due();
                self.paid(at, now);
            }
        }
    }

    /// Applies a captured payment: confirms all lines, or refunds all of it.
    fn paid(&mut self, at: usize, now: DateTime<Utc>) {
        let checkout = &self.checkouts[at];
        let lines: Vec<(usize, u32)> = checkout.lines.iter().map(|line| (line.item, line.units)).collect();
        let alive =
            checkout.lines.iter().all(|line| matches!(line.state, LineState::Held | LineState::Expired));
        let sold = lines.iter().all(|(item, _)| !self.drops[self.items[*item].drop].called_off);
        let theirs =
            checkout.all_held(now) || self.shortages(checkout.buyer, &lines, Some(at), now).is_empty();
        let (state, back) = if alive && sold && theirs {
            (LineState::Confirmed, 0)
        } else {
            (LineState::Refunded, checkout.due())
        };
        let checkout = &mut self.checkouts[at];
        checkout.lines.iter_mut().for_each(|line| line.state = state);
        if back > 0 {
            checkout.refunds.push((back, false));
        } else {
            checkout.confirmations += 1;
        }
    }

    /// Applies a completed refund.
    pub(crate) fn gave_back(&mut self, at: usize, amount: i64) {
        let checkout = &mut self.checkouts[at];
        if let Some(refund) = checkout.refunds.iter_mut().find(|refund| **refund == (amount, false)) {
            refund.1 = true;
            checkout.refunded += amount;
        }
    }

    /// Checks the invariants.
    pub(crate) fn check(&self, now: DateTime<Utc>) {
        for (at, item) in self.items.iter().enumerate() {
            let taken = self.taken(at, None, None, now);
            assert!(taken <= item.units, "item {at}: {taken} units of {} are taken", item.units);
            for buyer in self.checkouts.iter().map(|checkout| checkout.buyer) {
                let has = self.taken(at, Some(buyer), None, now);
                assert!(has <= item.limit, "item {at}: buyer {buyer} has {has}, the limit is {}", item.limit);
            }
        }
        for checkout in &self.checkouts {
            let back: i64 = checkout.refunds.iter().map(|(amount, _)| amount).sum();
            assert!(back <= checkout.captured, "more is refunded than was captured: {checkout:?}");
        }
    }

    /// Returns the model as lines of text, in the format in which [`crate::simulation::books::seen`] reads
    /// them from the database.
    pub(crate) fn lines(&self) -> Vec<String> {
        let hex = |id: uuid::Uuid| id.simple().to_string().to_uppercase();
        let mut lines = Vec::new();
        for drop in &self.drops {
            lines.push(format!(
                "drop {} {}",
                hex(drop.id.uuid()),
                if drop.called_off { "CANCELLED" } else { "PUBLISHED" }
            ));
        }
        for (at, item) in self.items.iter().enumerate() {
            lines.push(format!("item {} {} {}", hex(item.id.uuid()), item.units, self.confirmed(at)));
        }
        for checkout in &self.checkouts {
            for line in &checkout.lines {
                let (state, until) = match line.state {
                    LineState::Held => (
                        "HELD",
                        format!(" {}", checkout.expires_at.to_rfc3339_opts(SecondsFormat::AutoSi, false)),
                    ),
                    LineState::Confirmed => ("CONFIRMED", String::new()),
                    LineState::Expired => ("EXPIRED", String::new()),
                    LineState::Cancelled => ("CANCELLED", String::new()),
                    LineState::Refunded => ("REFUNDED", String::new()),
                };
                lines.push(format!("line {} {state}{until}", hex(line.id.uuid())));
            }
            let state = match checkout.state {
                PaymentState::Preparing => "PREPARING",
                PaymentState::RequiresMethod => "REQUIRES_METHOD",
                PaymentState::RequiresAction => "REQUIRES_ACTION",
                PaymentState::Processing => "PROCESSING",
                PaymentState::Succeeded => "SUCCEEDED",
                PaymentState::Cancelled => "CANCELLED",
            };
            let (payment, queued) = (hex(checkout.payment.uuid()), i32::from(checkout.queued.is_some()));
            lines
                .push(format!("paid {payment} {state} {queued} {} {}", checkout.captured, checkout.refunded));
            for (amount, done) in &checkout.refunds {
                lines.push(format!("back {payment} {amount} {}", if *done { "DONE" } else { "PENDING" }));
            }
        }
        lines.sort();
        lines
    }
}
