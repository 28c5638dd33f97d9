//! A run: buyers, creators, a gateway, workers and time take turns as the dice say, each step may end in the middle, and
//! after each the database must say what the model says.

use std::{collections::BTreeMap, fmt::Debug, future::Future, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    accounts::{BuyerScope, CreatorScope},
    drops::{items, publish},
    payments::{
        RefundState,
        advance::{StepError, advance, cancel as cancel_payment, refund},
        apply::apply,
        gateway::{GatewayError, IntentState, PaymentGateway},
        of_checkouts,
        pay::{PayRequest, PaymentMethod, pay},
        receive_webhook, refunds_of,
        webhook::apply_webhook,
    },
    platform::{
        Actor, Db, OpError,
        clock::ManualClock,
        facts::Fact,
        faults::{self, Point, crash_at, fail_at},
        idempotency::IdempotencyKey,
        ids::{CheckoutId, PaymentId},
        in_tx,
        mail::Letter,
        outbox::{self, Stamped},
        tasks::{self, Claimed, NewTask, Queue, Task},
        timers,
    },
    reservations::{
        cancel::cancel,
        lapse::lapse,
        lines::Line,
        queries::lines_of,
        quote::Delivery,
        reserve::{ReserveRequest, Reserved, reserve},
    },
};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use testkit::{Kit, TestDb};
use uuid::Uuid;

use crate::{
    books,
    dice::{Dice, DiceEntropy},
    gateway::{Gateway, METHODS, Mishap},
    market::{self, Template, address, euros, system},
    model::{CheckoutModel, Code, LineModel, LineState, Model, PaymentState},
};

/// What the workers call themselves.
const WORKER: Actor = Actor::System("simulation");

/// Steps of a run before all is brought to an end.
const STEPS: std::ops::RangeInclusive<u32> = 20..=50;

/// How one step goes.
#[derive(Debug, Clone, Copy)]
enum Luck {
    /// To its end.
    Fine,
    /// The process ends at the so-manieth point.
    Crash(u32),
    /// The so-manieth point fails.
    Fail(u32),
}

/// What came of a step.
#[derive(Debug)]
enum Came {
    /// It was done.
    Done,
    /// A rule said no.
    Refused(Vec<String>),
    /// Nobody knows.
    Unknown,
}

/// A reservation as its buyer asked for it.
struct Asked {
    buyer: usize,
    lines: Vec<(usize, u32)>,
    key: String,
}

/// A choice as its buyer made it.
struct Chosen {
    buyer: usize,
    checkout: usize,
    method: &'static str,
    key: String,
}

pub(crate) struct World<'a> {
    seed: u64,
    dice: Dice,
    db: Db,
    clock: Arc<ManualClock>,
    gateway: Arc<Gateway>,
    template: &'a Template,
    buyers: Vec<BuyerScope>,
    creators: Vec<CreatorScope>,
    model: Model,
    asked: Vec<Asked>,
    /// Which checkout a key made.
    made: BTreeMap<(usize, String), usize>,
    chosen: Vec<Chosen>,
    /// What a key was used for.
    paid: BTreeMap<(usize, String), (usize, &'static str)>,
    cancelled: BTreeMap<(usize, String), (usize, usize)>,
    letters: BTreeMap<String, Letter>,
    holder: u128,
    keys: usize,
    log: Vec<String>,
    calm: bool,
    _store: TestDb,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = self.log.join("\n  ");
            eprintln!("seed {}, {} steps:\n  {steps}\nAgain: SMALLRUN_TEST_SEED={}", self.seed, self.log.len(), self.seed);
        }
    }
}

/// The name of a refusal, without what it carries.
fn codes<T, R: Debug>(result: Result<T, OpError<R>>) -> Result<T, Came> {
    match result {
        Ok(done) => Ok(done),
        Err(OpError::Refused(why)) => Err(Came::Refused(why.iter().map(|refused| format!("{:?}", refused.code)).collect())),
        Err(OpError::Db(error)) => {
            assert!(matches!(error, DbErr::Custom(_)), "{error:?}");
            Err(Came::Unknown)
        }
        Err(OpError::Inconsistent(what)) => panic!("inconsistent: {what}"),
    }
}

impl<'a> World<'a> {
    pub(crate) async fn new(template: &'a Template, seed: u64) -> Self {
        let store = TestDb::sqlite_copy(&template.store);
        let clock = Arc::new(ManualClock::new(Kit::start() + TimeDelta::hours(1)));
        let entropy = Arc::new(DiceEntropy::new(seed));
        let db = domain::platform::connect(store.url(), 1, clock.clone(), entropy).await.unwrap();
        let mut dice = Dice::new(seed);
        let (model, creators) = market::open(&db, template, &mut dice).await;
        Self {
            seed,
            dice,
            db,
            gateway: Arc::new(Gateway::new(Arc::clone(&clock))),
            clock,
            template,
            buyers: template.buyers(),
            creators,
            model,
            asked: Vec::new(),
            made: BTreeMap::new(),
            chosen: Vec::new(),
            paid: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            letters: BTreeMap::new(),
            holder: 1,
            keys: 0,
            log: Vec::new(),
            calm: false,
            _store: store,
        }
    }

    /// The whole run.
    pub(crate) async fn run(mut self) {
        for _ in 0..self.dice.between(*STEPS.start(), *STEPS.end()) {
            self.step().await;
        }
        self.come_to_rest().await;
        // What was never told is found by asking.
        self.reconcile().await;
        self.come_to_rest().await;
        books::check(&self.db, &self.model, &self.gateway, &self.letters).await;
        for connection in [self.db.reader().clone(), self.db.schema_connection().clone()] {
            connection.close().await.unwrap();
        }
    }

    async fn step(&mut self) {
        match self.dice.below(100) {
            0..20 => self.reserve_new().await,
            20..23 => self.reserve_again().await,
            23..38 => self.pay_new().await,
            38..40 => self.pay_again().await,
            40..45 => self.end_at_gateway(),
            45..52 => self.deliver().await,
            52..57 => self.cancel_one().await,
            57..77 => self.work().await,
            77..82 => self.fire().await,
            82..87 => self.relay().await,
            87..95 => self.wait(),
            95..98 => self.set_units().await,
            98 => self.call_off().await,
            _ => self.gateway.expect(None),
        }
        self.model.check(self.db.now());
    }

    fn note(&mut self, step: impl std::fmt::Display) {
        let now = self.db.now().format("%H:%M:%S%.6f");
        self.log.push(format!("{now} {step}"));
    }

    fn new_key(&mut self) -> String {
        self.keys += 1;
        format!("key-{:06}", self.keys)
    }

    fn luck(&mut self) -> Luck {
        if self.calm {
            return Luck::Fine;
        }
        match self.dice.below(100) {
            0..12 => Luck::Crash(self.dice.between(1, 8)),
            12..20 => Luck::Fail(self.dice.between(1, 8)),
            _ => Luck::Fine,
        }
    }

    /// Runs one step as luck has it; `None` when the process ended within.
    async fn with_luck<T>(&mut self, what: &str, work: impl Future<Output = T>) -> Option<T> {
        match self.luck() {
            Luck::Fine => {
                self.note(what);
                Some(work.await)
            }
            Luck::Fail(nth) => {
                self.note(format_args!("{what} (point {nth} fails)"));
                Some(fail_at(nth, work).await)
            }
            Luck::Crash(nth) => {
                let ended = crash_at(nth, work).await;
                match ended {
                    Ok(done) => {
                        self.note(what);
                        Some(done)
                    }
                    Err(point) => {
                        self.note(format_args!("{what} (the process ends at {})", point.name()));
                        self.restart().await;
                        None
                    }
                }
            }
        }
    }

    /// Another process takes over: what the last one had in hand is taken back at once, or when its lease is over.
    async fn restart(&mut self) {
        self.holder += 1;
        if self.dice.percent(70) {
            tasks::take_back(&self.db, &system()).await.unwrap();
        }
    }

    /// Compares the database with the model as it should be, or with the one that it was where nobody knows.
    async fn agrees(&mut self, after: Model, came: &Came) {
        let seen = books::seen(&self.db).await;
        let (before_lines, after_lines) = (self.model.lines(), after.lines());
        match came {
            _ if seen == after_lines && !matches!(came, Came::Refused(_)) => self.model = after,
            Came::Refused(_) | Came::Unknown if seen == before_lines => {}
            Came::Done | Came::Refused(_) | Came::Unknown => {
                let missing: Vec<_> = after_lines.iter().filter(|line| !seen.contains(line)).collect();
                let extra: Vec<_> = seen.iter().filter(|line| !after_lines.contains(line)).collect();
                panic!("{came:?}: the model says {missing:#?}, the database {extra:#?}");
            }
        }
    }

    // --- buyers ------------------------------------------------------------------------------------------------------

    async fn reserve_new(&mut self) {
        let count = if self.dice.percent(30) { 2 } else { 1 };
        let items = self.model.items.len();
        let lines = (0..count).map(|_| (self.dice.below(items), self.dice.between(1, 3))).collect();
        let (buyer, key) = (self.dice.below(self.buyers.len()), self.new_key());
        self.asked.push(Asked { buyer, lines, key });
        self.reserve(self.asked.len() - 1).await;
    }

    async fn reserve_again(&mut self) {
        if !self.asked.is_empty() {
            let at = self.dice.below(self.asked.len());
            self.reserve(at).await;
        }
    }

    async fn reserve(&mut self, at: usize) {
        let Asked { buyer, lines, key } = &self.asked[at];
        let (buyer, lines, key) = (*buyer, lines.clone(), key.clone());
        let now = self.db.now();
        let expected = self.model.reserve(buyer, &lines, now);
        let request = ReserveRequest {
            lines: lines
                .iter()
                .map(|(item, units)| Line { item: self.model.items[*item].id, units: *units, delivery: Delivery::Pickup })
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
            Some(Ok(Reserved::Made { checkout, replayed })) => {
                match known {
                    Some(known) => assert_eq!((checkout, replayed), (self.model.checkouts[known].id, true)),
                    None => assert!(!replayed, "nobody had made it"),
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

    /// A checkout that the model has not heard of.
    async fn unknown_checkout(&self) -> Option<CheckoutId> {
        let newest = "SELECT id FROM checkouts ORDER BY created_at DESC, rowid DESC LIMIT 1";
        let row = self.db.reader().query_one_raw(Statement::from_string(self.db.backend(), newest)).await.unwrap()?;
        let id = CheckoutId(row.try_get_by_index::<Uuid>(0).unwrap());
        self.model.checkouts.iter().all(|checkout| checkout.id != id).then_some(id)
    }

    /// The ids and deposits of a new checkout; the rest is the model's.
    async fn read(&self, id: CheckoutId, buyer: usize, lines: &[(usize, u32)], expires_at: DateTime<Utc>) -> CheckoutModel {
        let rows = lines_of(&self.db, &[id]).await.unwrap().remove(&id).unwrap();
        let payment = of_checkouts(&self.db, &[id]).await.unwrap().remove(&id).unwrap();
        assert_eq!(rows.len(), lines.len());
        let line = |(row, (item, units)): (&domain::reservations::Reservation, &(usize, u32))| {
            assert_eq!((row.drop_item_id, row.units_u32()), (self.model.items[*item].id, *units));
            LineModel { id: row.id, item: *item, units: *units, deposit_minor: row.due_now_minor, state: LineState::Held }
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

    async fn pay_new(&mut self) {
        if self.model.checkouts.is_empty() {
            return;
        }
        // Mostly what waits for it, now and then anything, and seldom somebody else's.
        let now = self.db.now();
        let open = |checkout: &CheckoutModel| checkout.queued.is_none() && checkout.captured == 0 && checkout.expires_at > now;
        let waiting: Vec<usize> = (0..self.model.checkouts.len()).filter(|at| open(&self.model.checkouts[*at])).collect();
        let any = self.dice.below(self.model.checkouts.len());
        let checkout = if self.dice.percent(85) { self.dice.one_of(&waiting).copied().unwrap_or(any) } else { any };
        let owner = self.model.checkouts[checkout].buyer;
        let buyer = if self.dice.percent(3) { (owner + 1) % self.buyers.len() } else { owner };
        let method = METHODS[self.dice.below(METHODS.len())];
        let key = self.new_key();
        self.chosen.push(Chosen { buyer, checkout, method, key });
        self.pay(self.chosen.len() - 1).await;
    }

    async fn pay_again(&mut self) {
        if !self.chosen.is_empty() {
            let at = self.dice.below(self.chosen.len());
            self.pay(at).await;
        }
    }

    async fn pay(&mut self, at: usize) {
        let Chosen { buyer, checkout, method, key } = &self.chosen[at];
        let (buyer, checkout, method, key) = (*buyer, *checkout, *method, key.clone());
        let known = self.paid.contains_key(&(buyer, key.clone()));
        let mut after = self.model.clone();
        let expected = if known { Ok(()) } else { after.pay(checkout, buyer, self.db.now()) };
        let request = PayRequest {
            checkout: self.model.checkouts[checkout].id,
            method: PaymentMethod::new(method).unwrap(),
            return_url: None,
            gateway: self.gateway.name(),
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

    async fn cancel_one(&mut self) {
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
        let (db, scope, idempotency) = (self.db.clone(), self.buyers[buyer], IdempotencyKey::new(&key).unwrap());
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

    // --- creators ----------------------------------------------------------------------------------------------------

    async fn set_units(&mut self) {
        let item = self.dice.below(self.model.items.len());
        let units = self.dice.between(1, 10);
        let mut after = self.model.clone();
        let expected = after.set_units(item, units, self.db.now());
        let scope = self.creators[self.model.items[item].drop];
        let change = items::ItemChange { units: Some(units), per_buyer_max: None, tiers: None };
        let (db, id) = (self.db.clone(), self.model.items[item].id);
        let answer = self.with_luck(&format!("item {item} has {units} units"), items::change(&db, &scope, id, change)).await;
        self.came_to_creator(answer.map(codes), after, expected).await;
    }

    async fn call_off(&mut self) {
        let drop = self.dice.below(self.model.drops.len());
        let mut after = self.model.clone();
        let expected = after.call_off(drop);
        let (db, scope, id) = (self.db.clone(), self.creators[drop], self.model.drops[drop].id);
        let answer = self.with_luck(&format!("drop {drop} is called off"), publish::cancel(&db, &scope, id)).await;
        self.came_to_creator(answer.map(codes), after, expected).await;
    }

    async fn came_to_creator<T>(&mut self, answer: Option<Result<T, Came>>, after: Model, expected: Result<(), Code>) {
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

    // --- the gateway -------------------------------------------------------------------------------------------------

    fn end_at_gateway(&mut self) {
        let open = |state| matches!(state, IntentState::RequiresAction | IntentState::Processing);
        let open: Vec<String> =
            self.gateway.intents().into_iter().filter(|intent| open(intent.state)).map(|intent| intent.id).collect();
        if let Some(intent) = self.dice.one_of(&open).cloned() {
            let pays = self.dice.percent(70);
            self.gateway.end(&intent, pays);
            self.note(format_args!("{intent} ends at the gateway, {}", if pays { "paid" } else { "declined" }));
        }
    }

    async fn deliver(&mut self) {
        if self.gateway.waiting() == 0 {
            return;
        }
        let at = self.dice.below(self.gateway.waiting());
        let again = !self.calm && self.dice.percent(20);
        let lost = !self.calm && self.dice.percent(15);
        let event = self.gateway.event(at, again);
        if lost {
            self.note(format_args!("{} is lost", event.id));
            return;
        }
        let (db, name) = (self.db.clone(), self.gateway.name());
        let what = format!("{} of {} arrives", event.id, event.intent.clone().unwrap_or_default());
        let scope = system();
        let taken = self.with_luck(&what, receive_webhook(&db, &scope, name, &event, "{}")).await;
        if !matches!(taken, Some(Ok(()))) && !again && self.dice.percent(70) {
            // It was not answered, so the gateway tries again.
            self.gateway.put_back(event);
        }
        self.nothing_changed().await;
    }

    /// For steps that only queue what others do. When all comes to rest, the next task looks anyway.
    async fn nothing_changed(&mut self) {
        if !self.calm {
            let same = self.model.clone();
            self.agrees(same, &Came::Done).await;
        }
    }

    // --- workers -----------------------------------------------------------------------------------------------------

    async fn work(&mut self) {
        let queue = [Queue::Payments, Queue::Reservations, Queue::Mail][self.dice.below(3)];
        if self.dice.percent(15) {
            let slow = Mishap::Slow(self.dice.between(1, 900));
            let mishap = [Mishap::Unheard, Mishap::Unanswered, Mishap::Overtaken, slow][self.dice.below(4)];
            self.gateway.expect(Some(mishap));
        }
        self.work_on(queue).await;
        self.gateway.expect(None);
    }

    /// Claims a task of a queue, does it, and settles it. Answers whether there was one.
    async fn work_on(&mut self, queue: Queue) -> bool {
        let (db, now) = (self.db.clone(), self.db.now());
        let claimed = in_tx(&db, WORKER, async |tx| tasks::claim(tx, queue, 1).await).await.unwrap();
        let Some(task) = claimed.into_iter().next() else { return false };
        self.gateway.told();
        let pending = self.pending_refund(&task.task).await;
        let retry_at = now + TimeDelta::seconds(i64::from(self.dice.between(0, 30)));
        let what = format!("a worker does {:?}, attempt {}", task.task, task.attempt);
        let (gateway, mut letters) = (Arc::clone(&self.gateway), std::mem::take(&mut self.letters));
        let ended = self.with_luck(&what, do_task(&db, &gateway, &mut letters, &task, retry_at)).await;
        self.letters = letters;
        let came = match &ended {
            Some(Ok(None)) => Came::Done,
            Some(Ok(Some(error))) => {
                self.note(format_args!("  it fails: {error}"));
                Came::Unknown
            }
            Some(Err(_)) | None => Came::Unknown,
        };
        // A slow gateway takes time, and what it says is applied when it has said it.
        let after = self.after_task(&task, self.db.now(), pending);
        self.agrees(after, &came).await;
        true
    }

    /// The model when a task was done, by what the gateway told meanwhile.
    fn after_task(&self, task: &Claimed, now: DateTime<Utc>, pending: Option<(PaymentId, i64)>) -> Model {
        let mut after = self.model.clone();
        let told = self.gateway.told();
        let at_payment = |payment: PaymentId| self.model.checkouts.iter().position(|checkout| checkout.payment == payment).unwrap();
        match &task.task {
            Task::LapseCheckout { checkout } => {
                let at = self.model.checkouts.iter().position(|known| known.id == *checkout).unwrap();
                after.lapse(at, now);
            }
            Task::AdvancePayment { payment } => {
                let at = at_payment(*payment);
                // The answer to `create` tells nothing; that to `confirm`, or to the question after it, does.
                if let Some(intent) = told.iter().rfind(|intent| intent.payment == *payment) {
                    let just_made = intent.state == IntentState::RequiresMethod && intent.decline_code.is_none();
                    if !just_made {
                        after.told(at, intent.state, false, now);
                    }
                }
            }
            Task::CancelPayment { payment } => {
                if let Some(intent) = told.last() {
                    after.told(at_payment(*payment), intent.state, false, now);
                }
            }
            Task::ApplyWebhook { .. } => {
                if let Some(intent) = told.last() {
                    after.told(at_payment(intent.payment), intent.state, true, now);
                }
            }
            Task::MakeRefund { .. } => {
                if let Some((payment, amount)) = pending {
                    after.gave_back(at_payment(payment), amount);
                }
            }
            Task::SendMail { .. } | Task::SandboxOutcome { .. } | Task::SyncPayment { .. } | Task::ImportProducts { .. } => {}
        }
        after
    }

    /// The payment and the amount of the refund that a task is to make, unless it was made.
    async fn pending_refund(&self, task: &Task) -> Option<(PaymentId, i64)> {
        let Task::MakeRefund { refund } = task else { return None };
        let payments: Vec<PaymentId> = self.model.checkouts.iter().map(|checkout| checkout.payment).collect();
        let refunds = refunds_of(&self.db, &payments).await.unwrap();
        let row = refunds.values().flatten().find(|row| row.id == *refund).unwrap();
        (row.state == RefundState::Pending).then_some((row.payment_id, row.amount_minor))
    }

    async fn fire(&mut self) {
        let db = self.db.clone();
        let firing = async {
            in_tx(&db, WORKER, async |tx| timers::fire(tx, 10).await).await?;
            faults::point(Point::TimerFired).await
        };
        let _failed = self.with_luck("timers fire", firing).await;
        self.nothing_changed().await;
    }

    async fn relay(&mut self) {
        let (db, holder) = (self.db.clone(), Uuid::from_u128(self.holder));
        let relaying = async {
            let Some(fence) = in_tx(&db, WORKER, async |tx| outbox::lease(tx, holder).await).await? else { return Ok(()) };
            faults::point(Point::RelayLeased).await?;
            in_tx(&db, WORKER, async |tx| outbox::stamp(tx, fence, 10, react).await).await?;
            faults::point(Point::RelayCommitted).await
        };
        let _failed: Option<Result<(), DbErr>> = self.with_luck("the relay stamps", relaying).await;
        self.nothing_changed().await;
    }

    // --- time --------------------------------------------------------------------------------------------------------

    fn wait(&mut self) {
        let now = self.db.now();
        let ends: Vec<TimeDelta> = self
            .model
            .checkouts
            .iter()
            .map(|checkout| checkout.expires_at - now)
            .filter(|left| *left > TimeDelta::zero())
            .collect();
        let by = match self.dice.one_of(&ends).copied() {
            // To the very end of a hold, just before it, or just after.
            Some(left) if self.dice.percent(40) => left + TimeDelta::microseconds(i64::from(self.dice.between(0, 2)) - 1),
            _ => TimeDelta::seconds(self.dice.between(1, 400).into()),
        };
        self.clock.advance(by);
        self.note(format_args!("{by} go by"));
    }

    /// Everything that is to happen happens, without mishaps: intents end, events arrive, timers fire, tasks run.
    async fn come_to_rest(&mut self) {
        self.calm = true;
        self.holder += 1;
        for intent in self.gateway.intents() {
            if matches!(intent.state, IntentState::RequiresAction | IntentState::Processing) {
                let pays = self.dice.percent(50);
                self.gateway.end(&intent.id, pays);
                self.note(format_args!("{} ends at the gateway, {}", intent.id, if pays { "paid" } else { "declined" }));
            }
        }
        for _ in 0..100 {
            while self.gateway.waiting() > 0 {
                self.deliver().await;
            }
            self.fire().await;
            self.relay().await;
            for queue in [Queue::Payments, Queue::Reservations, Queue::Mail] {
                while self.work_on(queue).await {
                    self.model.check(self.db.now());
                }
            }
            match self.next_thing().await {
                None => return,
                Some(at) => self.clock.advance((at - self.db.now()).max(TimeDelta::seconds(1))),
            }
        }
        panic!("it does not come to rest: {:?}", tasks::depths(&self.db).await);
    }

    /// When there is something to do next; `None` when nothing is left.
    async fn next_thing(&self) -> Option<DateTime<Utc>> {
        let now = self.db.now();
        if self.gateway.waiting() > 0 || outbox::unstamped_count(&self.db).await.unwrap() > 0 {
            return Some(now);
        }
        let mut next = timers::next_due(&self.db).await.unwrap();
        if !tasks::depths(&self.db).await.unwrap().is_empty() {
            for queue in Queue::ALL {
                next = [next, tasks::next_due(&self.db, queue).await.unwrap()].into_iter().flatten().min();
            }
            // What a process had in hand when it ended is taken over when its lease is over.
            next = next.or(Some(now + TimeDelta::seconds(tasks::LEASE_SECS)));
        }
        next
    }

    /// Asks the gateway for what was never told.
    async fn reconcile(&mut self) {
        for intent in self.gateway.intents() {
            let at = self.model.checkouts.iter().position(|checkout| checkout.payment == intent.payment).unwrap();
            let mut after = self.model.clone();
            after.told(at, intent.state, false, self.db.now());
            self.note(format_args!("{} is looked at: {:?}", intent.id, intent.state));
            codes(apply(&self.db, &system(), self.gateway.name(), &intent, None).await).unwrap();
            self.agrees(after, &Came::Done).await;
        }
    }
}

/// Does one task as a worker does, and settles it. Answers why it failed.
async fn do_task(
    db: &Db,
    gateway: &Gateway,
    letters: &mut BTreeMap<String, Letter>,
    claimed: &Claimed,
    retry_at: DateTime<Utc>,
) -> Result<Option<String>, DbErr> {
    faults::point(Point::ConsumeClaimed).await?;
    let scope = system();
    let done = match &claimed.task {
        Task::LapseCheckout { checkout } => match lapse(db, &scope, *checkout).await {
            Ok(_) => Ok(()),
            Err(OpError::Db(error)) => Err(StepError::Db(error)),
            Err(error) => panic!("{error}"),
        },
        Task::AdvancePayment { payment } => advance(db, gateway, &scope, *payment).await,
        Task::CancelPayment { payment } => cancel_payment(db, gateway, &scope, *payment).await,
        Task::MakeRefund { refund: id } => refund(db, gateway, &scope, *id).await,
        Task::ApplyWebhook { event, .. } => apply_webhook(db, gateway, &scope, event).await,
        Task::SendMail { letter } => {
            // A letter that goes twice takes its own place.
            letters.insert(claimed.id.to_string(), letter.clone());
            faults::point(Point::MailSent).await.map_err(StepError::Db)
        }
        Task::SandboxOutcome { .. } => panic!("there is no sandbox"),
        Task::ImportProducts { .. } => panic!("nothing is imported"),
        Task::SyncPayment { .. } => panic!("the world asks the gateway itself"),
    };
    let done = match done {
        Ok(()) => faults::point(Point::ConsumeHandled).await.map_err(StepError::Db),
        failed => failed,
    };
    match done {
        Ok(()) => {
            in_tx(db, WORKER, async |tx| tasks::finish(tx, claimed).await).await?;
            faults::point(Point::ConsumeSettled).await?;
            Ok(None)
        }
        Err(StepError::Gateway(GatewayError::Later(why))) => put_back(db, claimed, retry_at, why).await,
        Err(StepError::Db(DbErr::Custom(why))) => put_back(db, claimed, retry_at, why).await,
        Err(error) => panic!("a person must look at {claimed:?}: {error}"),
    }
}

async fn put_back(db: &Db, claimed: &Claimed, at: DateTime<Utc>, why: String) -> Result<Option<String>, DbErr> {
    let failure = tasks::Failure::new(tasks::Outcome::Retry, why.clone());
    in_tx(db, WORKER, async |tx| tasks::retry(tx, claimed, at, &failure).await).await?;
    Ok(Some(why))
}

/// The letters that follow from facts, as the workers have it.
fn react(stamped: &Stamped) -> Vec<NewTask> {
    let letter = match stamped.fact {
        Fact::Reserved { checkout } => Letter::Held { checkout },
        Fact::Confirmed { checkout } => Letter::Confirmed { checkout },
        Fact::Lapsed { checkout } => Letter::Lapsed { checkout },
        _ => return Vec::new(),
    };
    vec![NewTask::from(Task::SendMail { letter })]
}
