//! A run: the dice choose steps of buyers, creators, the gateway, workers and the clock. Each step may crash,
//! and after each step the database must match the model.

mod people;
mod workers;

use std::{collections::BTreeMap, fmt::Debug, future::Future, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    payments::{
        gateway::{IntentState, PaymentGateway},
        gateways::Gateways,
        receive_webhook,
    },
    platform::{
        Db, OpError,
        access::{Actor, BuyerScope, CreatorScope},
        clock::ManualClock,
        faults::{crash_at, fail_at},
        mail::{LinkBase, Mail, MailError, Mailer},
        outbox,
        tasks::{self, Queue, TaskKinds},
        timers,
    },
    registry::{self, Ports},
};
use sea_orm::DbErr;
use serde_json::Value as Json;
use testkit::{Kit, TestDb};

use crate::simulation::{
    books,
    dice::{Dice, DiceEntropy},
    gateway::Gateway,
    market::{self, Template, system},
    model::Model,
};

/// The actor of the workers.
const WORKER: Actor = Actor::System("simulation");

/// The number of steps of a run before it comes to rest.
const STEPS: std::ops::RangeInclusive<u32> = 20..=50;

/// How one step runs.
#[derive(Debug, Clone, Copy)]
enum Luck {
    /// It runs to its end.
    Fine,
    /// The process crashes at the n-th fault point.
    Crash(u32),
    /// The n-th fault point returns an error.
    Fail(u32),
}

/// The outcome of a step.
#[derive(Debug)]
enum Came {
    /// The step was done.
    Done,
    /// The step was refused with these codes.
    Refused(Vec<String>),
    /// The step may or may not have been done.
    Unknown,
}

/// A request of a buyer to reserve.
struct Asked {
    buyer: usize,
    lines: Vec<(usize, u32)>,
    key: String,
}

/// A buyer's choice of a payment method.
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
    /// The checkout that a buyer's key made.
    made: BTreeMap<(usize, String), usize>,
    chosen: Vec<Chosen>,
    /// The checkout and the method that a buyer's key was used for.
    paid: BTreeMap<(usize, String), (usize, &'static str)>,
    cancelled: BTreeMap<(usize, String), (usize, usize)>,
    kinds: TaskKinds,
    /// The letters that a worker processed, by their tasks.
    letters: BTreeMap<String, Json>,
    holder: u128,
    keys: usize,
    log: Vec<String>,
    calm: bool,
    _store: TestDb,
}

/// A mailer that accepts every letter.
struct Postman;

#[async_trait]
impl Mailer for Postman {
    async fn send(&self, _mail: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let steps = self.log.join("\n  ");
            eprintln!(
                "seed {}, {} steps:\n  {steps}\nTo repeat: SMALLRUN_TEST_SEED={}",
                self.seed,
                self.log.len(),
                self.seed
            );
        }
    }
}

/// Returns the result, or the names of the refusals without their data.
fn codes<T, R: Debug>(result: Result<T, OpError<R>>) -> Result<T, Came> {
    match result {
        Ok(done) => Ok(done),
        Err(OpError::Refused(why)) => {
            Err(Came::Refused(why.iter().map(|refused| word(&refused.code)).collect()))
        }
        Err(OpError::Db(error)) => {
            assert!(matches!(error, DbErr::Custom(_)), "{error:?}");
            Err(Came::Unknown)
        }
        Err(busy @ OpError::Busy(_)) => panic!("{busy}"),
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
        let gateway = Arc::new(Gateway::new(Arc::clone(&clock)));
        let port: Arc<dyn PaymentGateway> = gateway.clone();
        let gateways = Gateways::new(port, []).unwrap();
        let ports =
            Ports { gateways, mailer: Arc::new(Postman), links: LinkBase::new("https://shop.example") };
        Self {
            seed,
            dice,
            db,
            gateway,
            kinds: registry::tasks(ports),
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

    /// Runs the simulation to its end and checks the books.
    pub(crate) async fn run(mut self) {
        for _ in 0..self.dice.between(*STEPS.start(), *STEPS.end()) {
            self.step().await;
        }
        self.come_to_rest().await;
        // After ten minutes, reconciling finds the outcomes whose webhooks were lost.
        self.clock.advance(TimeDelta::minutes(10));
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
            95..97 => self.set_units().await,
            97 => self.reconcile().await,
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

    /// Runs one step with the luck of the dice. Returns `None` if the process crashed within the step.
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

    /// Starts another process. The tasks of the crashed process are taken back at once, or when their lease
    /// expires.
    async fn restart(&mut self) {
        self.holder += 1;
        if self.dice.percent(70) {
            tasks::take_back(&self.db, &system()).await.unwrap();
        }
    }

    /// Compares the database with the model after the step. If the step's outcome is a refusal or unknown,
    /// the database may also match the model before the step.
    async fn agrees(&mut self, after: Model, came: &Came) {
        let seen = books::seen(&self.db).await;
        let (before_lines, after_lines) = (self.model.lines(), after.lines());
        match came {
            _ if seen == after_lines && !matches!(came, Came::Refused(_)) => self.model = after,
            Came::Refused(_) | Came::Unknown if seen == before_lines => {}
            Came::Done | Came::Refused(_) | Came::Unknown => {
                let missing: Vec<_> = after_lines.iter().filter(|line| !seen.contains(line)).collect();
                let extra: Vec<_> = seen.iter().filter(|line| !after_lines.contains(line)).collect();
                panic!("{came:?}: only in the model: {missing:#?}, only in the database: {extra:#?}");
            }
        }
    }

    // --- the gateway ---

    fn end_at_gateway(&mut self) {
        let open = |state| matches!(state, IntentState::RequiresAction | IntentState::Processing);
        let open: Vec<String> = self
            .gateway
            .intents()
            .into_iter()
            .filter(|intent| open(intent.state))
            .map(|intent| intent.id)
            .collect();
        if let Some(intent) = self.dice.one_of(&open).cloned() {
            let pays = self.dice.percent(70);
            self.gateway.end(&intent, pays);
            self.note(format_args!(
                "{intent} ends at the gateway, {}",
                if pays { "paid" } else { "declined" }
            ));
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
        let (db, gateway) = (self.db.clone(), self.gateway.identity().clone());
        let what = format!("{} of {} arrives", event.id, event.intent.clone().unwrap_or_default());
        let scope = system();
        let taken = self.with_luck(&what, receive_webhook(&db, &scope, &gateway, &event, "{}")).await;
        if !matches!(taken, Some(Ok(()))) && !again && self.dice.percent(70) {
            // The webhook was not acknowledged, so the gateway sends it again.
            self.gateway.put_back(event);
        }
        self.nothing_changed().await;
    }

    /// Checks that a step changed nothing, because it only queues work. While coming to rest, this check is
    /// skipped, since the next task checks anyway.
    async fn nothing_changed(&mut self) {
        if !self.calm {
            let same = self.model.clone();
            self.agrees(same, &Came::Done).await;
        }
    }

    // --- time ---

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
            // Exactly to the end of a hold, or one microsecond before or after it.
            Some(left) if self.dice.percent(40) => {
                left + TimeDelta::microseconds(i64::from(self.dice.between(0, 2)) - 1)
            }
            _ => TimeDelta::seconds(self.dice.between(1, 400).into()),
        };
        self.clock.advance(by);
        self.note(format_args!("{by} go by"));
    }

    /// Runs everything that is pending without faults: intents end, events arrive, timers fire, and tasks
    /// run.
    async fn come_to_rest(&mut self) {
        self.calm = true;
        self.holder += 1;
        for intent in self.gateway.intents() {
            if matches!(intent.state, IntentState::RequiresAction | IntentState::Processing) {
                let pays = self.dice.percent(50);
                self.gateway.end(&intent.id, pays);
                self.note(format_args!(
                    "{} ends at the gateway, {}",
                    intent.id,
                    if pays { "paid" } else { "declined" }
                ));
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
        panic!("the run does not come to rest: {:?}", tasks::depths(&self.db).await);
    }

    /// Returns when the next pending work is due, or `None` if nothing is left.
    async fn next_thing(&self) -> Option<DateTime<Utc>> {
        let now = self.db.now();
        if self.gateway.waiting() > 0 || outbox::unstamped_count(&self.db).await.unwrap() > 0 {
            return Some(now);
        }
        let mut next = timers::next_due(&self.db, &registry::timers()).await.unwrap();
        if !tasks::depths(&self.db).await.unwrap().is_empty() {
            for queue in Queue::ALL {
                next = [next, tasks::next_due(&self.db, queue).await.unwrap()].into_iter().flatten().min();
            }
            // The tasks of a crashed process are taken over when their lease expires.
            next = next.or(Some(now + TimeDelta::seconds(tasks::LEASE_SECS)));
        }
        next
    }
}

/// Returns the name of a refusal without its data.
fn word(refusal: &impl std::fmt::Debug) -> String {
    format!("{refusal:?}").split('(').next().unwrap_or_default().to_owned()
}
