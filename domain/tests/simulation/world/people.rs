//! The steps of buyers and creators.

use chrono::{DateTime, Utc};
use domain::{
    payments::{gateway::PaymentGateway, method::PaymentMethod, of_checkouts},
    platform::{idempotency::IdempotencyKey, ids::CheckoutId},
    reservations::{
        PayRequest, RequestedLine, ReserveRequest, Reserved, cancel, cancel_drop, change_item, pay,
        queries::lines_of, quote::DeliveryMethod, reserve,
    },
};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::{Asked, Came, Chosen, World, codes};
use crate::simulation::{
    gateway::METHODS,
    market::{address, euros},
    model::{CheckoutModel, Code, LineModel, LineState, Model, PaymentState},
};

impl World<'_> {
    pub(super) async fn reserve_new(&mut self) {
        let count = if self.dice.percent(30) { 2 } else { 1 };
        let items = self.model.items.len();
        let lines = (0..count).map(|_| (self.dice.below(items), self.dice.between(1, 3))).collect();
        let (buyer, key) = (self.dice.below(self.buyers.len()), self.new_key());
        self.asked.push(Asked { buyer, lines, key });
        self.reserve(self.asked.len() - 1).await;
    }

    pub(super) async fn reserve_again(&mut self) {
        if !self.asked.is_empty() {
            let at = self.dice.below(self.asked.len());
            self.reserve(at).await;
        }
    }

    pub(super) async fn reserve(&mut self, at: usize) {
        let Asked { buyer, lines, key } = &self.asked[at];
        let (buyer, lines, key) = (*buyer, lines.clone(), key.clone());
        let now = self.db.now();
        let expected = self.model.reserve(buyer, &lines, now);
        let request = ReserveRequest {
            lines: lines
                .iter()
                .map(|(item, units)| RequestedLine {
                    item: self.model.items[*item].id,
                    units: (*units).try_into().unwrap(),
                    delivery: DeliveryMethod::Pickup,
                    pickup_place: None,
                })
                .collect(),
            address: address(),
            expected_total: euros(1_000_000),
            accepted: vec![self.template.legal],
            arrived_at: now,
            key: IdempotencyKey::new(&key).unwrap(),
        };
        let known = self.made.get(&(buyer, key.clone())).copied();
        let (db, scope) = (self.db.clone(), self.buyers[buyer]);
        let what = format!("buyer {buyer} reserves {lines:?} by {key}");
        let answer = self.with_luck(&what, reserve(&db, &scope, &request)).await;
        let came = match answer.map(codes) {
            Some(Ok(Reserved::Made { checkout, replayed, .. })) => {
                match known {
                    Some(known) => assert_eq!((checkout, replayed), (self.model.checkouts[known].id, true)),
                    None => assert!(!replayed, "the checkout is new"),
                }
                Came::Done
            }
            Some(Ok(Reserved::Repriced(_))) => panic!("the price never rises here"),
            Some(Err(came)) => came,
            None => Came::Unknown,
        };
        if let Came::Refused(codes) = &came {
            assert_eq!(
                (expected.as_ref().err().map(|codes| codes.iter().map(ToString::to_string).collect()), known),
                (Some(codes.clone()), None)
            );
        }
        let mut after = self.model.clone();
        if let (Ok(expires_at), None, Some(checkout)) = (expected, known, self.unknown_checkout().await) {
            after.checkouts.push(self.read(checkout, buyer, &lines, expires_at).await);
            self.made.insert((buyer, key), after.checkouts.len() - 1);
        }
        self.agrees(after, &came).await;
    }

    /// Returns the newest checkout if the model does not know it.
    pub(super) async fn unknown_checkout(&self) -> Option<CheckoutId> {
        let newest = "SELECT id FROM checkouts ORDER BY created_at DESC, rowid DESC LIMIT 1";
        let row = self
            .db
            .reader()
            .query_one_raw(Statement::from_string(self.db.backend(), newest))
            .await
            .unwrap()?;
        let id = CheckoutId(row.try_get_by_index::<Uuid>(0).unwrap());
        self.model.checkouts.iter().all(|checkout| checkout.id != id).then_some(id)
    }

    /// Reads the ids and deposits of a new checkout; the rest is known from the model.
    pub(super) async fn read(
        &self,
        id: CheckoutId,
        buyer: usize,
        lines: &[(usize, u32)],
        expires_at: DateTime<Utc>,
    ) -> CheckoutModel {
        let rows = lines_of(&self.db, &[id]).await.unwrap().remove(&id).unwrap();
        let payment = of_checkouts(&self.db, &[id]).await.unwrap().remove(&id).unwrap();
        assert_eq!(rows.len(), lines.len());
        let line = |(row, (item, units)): (&domain::reservations::Reservation, &(usize, u32))| {
            assert_eq!((row.drop_item_id, row.units.get()), (self.model.items[*item].id, *units));
            LineModel {
                id: row.id,
                item: *item,
                units: *units,
                deposit_minor: row.due_now_minor,
                state: LineState::Held,
            }
        };
        let checkout = CheckoutModel {
            id,
            buyer,
            lines: rows.iter().zip(lines).map(line).collect(),
            expires_at,
            extended: false,
            payment: payment.id,
            state: PaymentState::Preparing,
            queued: None,
            captured: 0,
            refunded: 0,
            refunds: Vec::new(),
            confirmations: 0,
            lapses: 0,
        };
        assert_eq!(payment.amount_minor, checkout.due());
        checkout
    }

    pub(super) async fn pay_new(&mut self) {
        if self.model.checkouts.is_empty() {
            return;
        }
        // Usually pays an unpaid checkout, sometimes any checkout, and rarely another buyer's.
        let now = self.db.now();
        let open = |checkout: &CheckoutModel| {
            checkout.queued.is_none() && checkout.captured == 0 && checkout.expires_at > now
        };
        let waiting: Vec<usize> =
            (0..self.model.checkouts.len()).filter(|at| open(&self.model.checkouts[*at])).collect();
        let any = self.dice.below(self.model.checkouts.len());
        let checkout =
            if self.dice.percent(85) { self.dice.one_of(&waiting).copied().unwrap_or(any) } else { any };
        let owner = self.model.checkouts[checkout].buyer;
        let buyer = if self.dice.percent(3) { (owner + 1) % self.buyers.len() } else { owner };
        let method = METHODS[self.dice.below(METHODS.len())];
        let key = self.new_key();
        self.chosen.push(Chosen { buyer, checkout, method, key });
        self.pay(self.chosen.len() - 1).await;
    }

    pub(super) async fn pay_again(&mut self) {
        if !self.chosen.is_empty() {
            let at = self.dice.below(self.chosen.len());
            self.pay(at).await;
        }
    }

    pub(super) async fn pay(&mut self, at: usize) {
        let Chosen { buyer, checkout, method, key } = &self.chosen[at];
        let (buyer, checkout, method, key) = (*buyer, *checkout, *method, key.clone());
        let known = self.paid.contains_key(&(buyer, key.clone()));
        let mut after = self.model.clone();
        let expected = if known { Ok(()) } else { after.pay(checkout, buyer, self.db.now()) };
        let request = PayRequest {
            checkout: self.model.checkouts[checkout].id,
            method: PaymentMethod::new(method).unwrap(),
            return_url: None,
            gateway: self.gateway.identity().clone(),
            key: IdempotencyKey::new(&key).unwrap(),
        };
        let (db, scope) = (self.db.clone(), self.buyers[buyer]);
        let what = format!("buyer {buyer} pays checkout {checkout} with {method} by {key}");
        let answer = self.with_luck(&what, pay(&db, &scope, &request)).await;
        let came = match answer.map(codes) {
            Some(Ok((payment, replayed))) => {
                assert_eq!((payment, replayed), (self.model.checkouts[checkout].payment, known));
                Came::Done
            }
            Some(Err(came)) => came,
            None => Came::Unknown,
        };
        if let Came::Refused(codes) = &came {
            assert_eq!(Some(codes), expected.err().map(|code| vec![code.to_owned()]).as_ref());
        }
        let before = self.model.clone();
        self.agrees(if expected.is_ok() { after } else { before.clone() }, &came).await;
        if !known && self.model != before {
            self.paid.insert((buyer, key), (checkout, method));
        }
    }

    pub(super) async fn cancel_one(&mut self) {
        if self.model.checkouts.is_empty() {
            return;
        }
        let checkout = self.dice.below(self.model.checkouts.len());
        let line = self.dice.below(self.model.checkouts[checkout].lines.len());
        let owner = self.model.checkouts[checkout].buyer;
        let buyer = if self.dice.percent(3) { (owner + 1) % self.buyers.len() } else { owner };
        let keys: Vec<_> = self.cancelled.keys().filter(|(of, _)| *of == buyer).cloned().collect();
        let again = if self.dice.percent(10) { self.dice.one_of(&keys).cloned() } else { None };
        let key = again.map_or_else(|| self.new_key(), |(_, key)| key);
        let mut after = self.model.clone();
        let now = self.db.now();
        let expected = match self.cancelled.get(&(buyer, key.clone())) {
            _ if owner != buyer => Err("NotFound"),
            Some(of) if *of == (checkout, line) => Ok(true),
            Some(_) => Err("KeyReused"),
            None => after.cancel(checkout, line, buyer, now).map(|()| false),
        };
        let id = self.model.checkouts[checkout].lines[line].id;
        let (db, scope, idempotency) =
            (self.db.clone(), self.buyers[buyer], IdempotencyKey::new(&key).unwrap());
        let what = format!("buyer {buyer} cancels line {line} of checkout {checkout} by {key}");
        let answer = self.with_luck(&what, cancel(&db, &scope, id, &idempotency)).await;
        let came = match answer.map(codes) {
            Some(Ok((_, replayed))) => {
                assert_eq!(Ok(replayed), expected);
                Came::Done
            }
            Some(Err(came)) => came,
            None => Came::Unknown,
        };
        if let Came::Refused(codes) = &came {
            assert_eq!(Some(codes), expected.err().map(|code| vec![code.to_owned()]).as_ref());
        }
        let before = self.model.clone();
        self.agrees(if expected.is_ok() { after } else { before.clone() }, &came).await;
        if self.model != before {
            self.cancelled.insert((buyer, key), (checkout, line));
        }
    }

    // --- creators ---

    pub(super) async fn set_units(&mut self) {
        let item = self.dice.below(self.model.items.len());
        let units = self.dice.between(1, 10);
        let mut after = self.model.clone();
        let expected = after.set_units(item, units, self.db.now());
        let scope = self.creators[self.model.items[item].drop];
        let change =
            domain::reservations::ItemChange { units: Some(units), per_buyer_max: None, tiers: None };
        let (db, id) = (self.db.clone(), self.model.items[item].id);
        let answer = self
            .with_luck(&format!("item {item} has {units} units"), change_item(&db, &scope, id, change))
            .await;
        self.came_to_creator(answer.map(codes), after, expected).await;
    }

    pub(super) async fn call_off(&mut self) {
        let drop = self.dice.below(self.model.drops.len());
        let mut after = self.model.clone();
        let expected = after.call_off(drop);
        let (db, scope, id) = (self.db.clone(), self.creators[drop], self.model.drops[drop].id);
        let answer =
            self.with_luck(&format!("drop {drop} is called off"), cancel_drop(&db, &scope, id)).await;
        self.came_to_creator(answer.map(codes), after, expected).await;
    }

    pub(super) async fn came_to_creator<T>(
        &mut self,
        answer: Option<Result<T, Came>>,
        after: Model,
        expected: Result<(), Code>,
    ) {
        let came = match answer {
            Some(Ok(_)) => Came::Done,
            Some(Err(came)) => came,
            None => Came::Unknown,
        };
        if let Came::Refused(codes) = &came {
            assert_eq!(Some(codes), expected.err().map(|code| vec![code.to_owned()]).as_ref());
        }
        let after = if expected.is_ok() { after } else { self.model.clone() };
        self.agrees(after, &came).await;
    }
}
